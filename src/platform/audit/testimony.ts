import { createHash } from 'node:crypto'
import { type PositionRow, selectPosition, toPosition } from '../checkpoint.ts'
import { type Pool, sql } from '../database.ts'
import type { StoredEvent } from '../event.ts'
import { comparePositions, formatPosition, type Position, parsePosition, START } from '../position.ts'
import { witnessLine } from '../witness.ts'
import type { Add, WitnessedHead } from './chain.ts'

/** What is to be kept where nobody can reach it who could change the log: given to a later audit, it proves that all up to there is as it was. */
export type Seal = { readonly position: string; readonly digest: string }

/** What was witnessed of the log (witness.ts). To be read before the log's end is asked for: then all of it must be there. */
export type Testimony = {
  /** By stream. */
  readonly heads: ReadonlyMap<string, WitnessedHead>
  /** The stretches of the log in their order, each by its last event. */
  readonly stretches: readonly { readonly position: string; readonly digest: string }[]
  /** How far somebody who follows the log has come. */
  readonly reached: Position
}

const PAGE = 20_000

export async function readTestimony(pool: Pool): Promise<Testimony> {
  const heads = new Map<string, WitnessedHead>()
  for (let after = ''; ; ) {
    const page = await pool.rows<{ stream: string } & WitnessedHead>(sql.unsafe`
      select stream, revision, hash, commit_position || '.' || prepare_position as position
      from smartcrm.witnessed_streams where stream > ${after} order by stream limit ${PAGE}`)
    for (const { stream, ...head } of page) heads.set(stream, head)
    if (page.length < PAGE) break
    after = page.at(-1)!.stream
  }
  const stretches = await pool.rows<Testimony['stretches'][number]>(sql.unsafe`
    select commit_position || '.' || prepare_position as position, digest from smartcrm.witnessed_stretches order by commit_position, prepare_position`)
  const [reached] = await pool.rows<PositionRow>(sql.unsafe`
    select ${selectPosition} from smartcrm.checkpoints order by commit_position desc, prepare_position desc limit 1`)
  return { heads, stretches, reached: reached ? toPosition(reached) : START }
}

/** Compares the digest of each stretch of the log with the one that was witnessed. */
export function createStretches(stretches: Testimony['stretches'], add: Add) {
  let index = 0
  let digest = createHash('sha256')
  const close = (isThere: boolean) => {
    const { position, digest: witnessed } = stretches[index]!
    const from = index === 0 ? 'the start' : stretches[index - 1]!.position
    if (!isThere || digest.digest('hex') !== witnessed)
      add({ what: `between ${from} and ${position} the log is not what was witnessed`, position })
    digest = createHash('sha256')
    index += 1
  }
  return {
    next(event: StoredEvent) {
      while (index < stretches.length && comparePositions(event.position, parsePosition(stretches[index]!.position)!) > 0) close(false)
      digest.update(witnessLine(event))
      if (stretches[index]?.position === formatPosition(event.position)) close(true)
    },
    end() {
      if (index < stretches.length) add({ what: 'the log ends before what was witnessed', position: stretches.at(-1)!.position })
    },
  }
}

/** One digest over all, so that an audit can vouch for what an earlier one has seen. */
export function createSealing(seal: Seal | undefined, add: Add) {
  const digest = createHash('sha256')
  const sealed = seal && parsePosition(seal.position)!
  let last = '0.0'
  let isMet = false
  return {
    next(event: StoredEvent) {
      digest.update(witnessLine(event))
      last = formatPosition(event.position)
      if (!sealed || isMet || comparePositions(event.position, sealed) < 0) return
      isMet = true
      if (last !== seal.position || digest.copy().digest('hex') !== seal.digest)
        add({ what: 'up to there the log is not what the given seal vouches for', position: seal.position })
    },
    end(): Seal {
      if (seal && !isMet && seal.position !== '0.0') add({ what: 'the log ends before the given seal', position: seal.position })
      return { position: last, digest: digest.digest('hex') }
    },
  }
}
