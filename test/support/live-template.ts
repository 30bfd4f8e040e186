import { createHash } from 'node:crypto'
import { openPool } from '../../src/platform/database.ts'
import { createLogger } from '../../src/platform/log.ts'
import type { Projection } from '../../src/platform/projection.ts'
import { migrated, type Template } from './postgres.ts'
import { liveTables } from './projections.ts'

/** A database in which `liveTables` has made them. @param projections of this code, so that name and version tell them */
export const withLiveTables = (projections: readonly Projection[]): Template => ({
  name: `live_${createHash('sha256')
    .update(JSON.stringify(projections.map(({ name, version }) => [name, version])))
    .digest('hex')
    .slice(0, 12)}`,
  async make(url) {
    const log = createLogger('warn', 'test')
    await migrated.make(url)
    const pool = openPool(url, log, 1)
    await liveTables(pool, projections, log).finally(() => pool.close())
  },
})
