import type { Database, Pool, Query } from '../database.ts'
import type { Position } from '../position.ts'
import type { Projection } from '../projection.ts'
import { createMoments, type Moments } from './moments.ts'
import { placeOf } from './snapshots.ts'
import type { Place } from './tables.ts'

/** What is needed to answer a query as of a moment. */
export type Past = Pick<Moments, 'resolve'> & {
  /** The tables as of a position, to be asked as the live ones are; null: nobody has made them. */
  tables(position: Position): Promise<Database | null>
}

/** The past, as far as there are snapshots of it. */
export function createPast(pool: Pool, log: Parameters<typeof createMoments>[1], projections: readonly Projection[]): Past {
  const { resolve } = createMoments(pool, log)
  return {
    resolve,
    async tables(position) {
      const place = await placeOf(pool, projections, position)
      return place && tablesIn(pool, place)
    },
  }
}

const READ = '"read".'

/**
 * The same statements, of the tables in another place. A statement names a table by `table.sql` alone, which is written `"read"."…"`; whatever comes from
 * outside is a parameter and not in its text. Nothing else of it is looked at, and one that names the live tables in any other way is refused.
 * `table.now` is written otherwise, and stays what it is.
 * They are not prepared: their tables go with their place, and plans would be kept for ever.
 */
export const tablesIn = (db: Database, place: Place): Database => ({
  rows({ name: _, ...query }: Query) {
    const text = query.sql.replaceAll(READ, `"${place}".`)
    if (/\bread\s*\./i.test(text)) throw new Error('A statement names the live tables otherwise than by their declaration.')
    return db.rows({ ...query, sql: text })
  },
})
