import { setTimeout as delay } from 'node:timers/promises'
import { LIVE, type PositionRow, readCheckpoint, toPosition } from '../checkpoint.ts'
import { type Pool, sql } from '../database.ts'
import type { RecordedEvent, StoredEvent } from '../event.ts'
import type { Logger } from '../log.ts'
import { counter, type Metrics, type Sample } from '../metrics.ts'
import type { Position } from '../position.ts'
import type { Projection } from '../projection.ts'
import { isLasting } from './moments.ts'
import { parkedStreams } from './parked.ts'
import { readRows } from './states.ts'
import { verifySample } from './verify.ts'

export type ShareOptions = {
  readonly pool: Pool
  readonly source: {
    readAll(after: Position | null, limit: number): Promise<StoredEvent[]>
    readStream(stream: string): Promise<StoredEvent[]>
    decode(events: readonly StoredEvent[]): Promise<RecordedEvent[]>
  }
  readonly projections: readonly Projection[]
}

const READ = 500
const STREAMS = 50

/**
 * Folds some streams that began at one place of the log, chosen at random, a second time and compares them with the live tables, at exactly their position.
 * It costs what reading these streams costs. What several streams make together (counts, and what follows from other tables) is left to `verifyTables`.
 * @returns how many streams, and what differs, in words without a value
 */
export async function verifyShare({ pool, source, projections }: ShareOptions): Promise<{ streams: number; wrong: string | null }> {
  const [begin] = await pool.rows<PositionRow>(sql.unsafe`
    select commit_position::text as commit, prepare_position::text as prepare from smartcrm.witnessed_stretches order by random() limit 1`)
  const page = await source.readAll(begin && Math.random() < 0.9 ? toPosition(begin) : null, READ)
  const begun = page.filter((event) => isLasting(event) && event.revision === 0).map(({ stream }) => stream)
  const streams = begun.slice(0, STREAMS)
  const wrong = await pool.transaction(async (db) => {
    await db.rows(sql.unsafe`set transaction isolation level repeatable read`)
    const rows = await readRows(db)
    const { position } = (await readCheckpoint(db, LIVE))!
    const parked = await parkedStreams(db, LIVE, 0)
    const live = projections.filter(({ name, version }) =>
      rows.some((row) => row.name === name && row.version === version && row.state === 'live'),
    )
    const isLeftOut = ({ name }: Projection, stream: string) => parked.has(name, stream)
    const found = await verifySample({ ...source, pool: db, projections: live, place: 'read', position, streams, isLeftOut })
    return found?.what ?? null
  })
  await pool.rows(sql.unsafe`
    update smartcrm.verified_shares set streams = streams + ${streams.length}, wrong = wrong + ${wrong === null ? 0 : 1}, last_at = clock_timestamp(),
      last_wrong = coalesce(${wrong}, last_wrong), last_wrong_at = case when ${wrong}::text is null then last_wrong_at else clock_timestamp() end`)
  return { streams: streams.length, wrong }
}

const EVERY_MS = 15 * 60_000

/** Verifies a share now and then. That several workers do so harms nobody. */
export function keepVerifying(options: ShareOptions, log: Logger, everyMs = EVERY_MS): { close(): Promise<void> } {
  const closing = new AbortController()
  const { signal } = closing
  const verifying = (async () => {
    for (;;) {
      await delay(everyMs * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
      await verifyShare(options).then(
        ({ wrong }) =>
          wrong !== null && log.error({ wrong }, 'the read tables are not what the log makes: see `smartcrm projections verify`'),
        (err) => log.warn({ err }, 'no share of the read tables could be verified; trying again later'),
      )
    }
  })()
  return {
    async close() {
      closing.abort()
      await verifying
    },
  }
}

export function verificationMetrics(metrics: Metrics, pool: Pool): void {
  const of = (what: 'streams' | 'wrong') => async (sample: Sample) => {
    const [row] = await pool.rows<{ streams: number; wrong: number }>(sql.unsafe`select streams, wrong from smartcrm.verified_shares`)
    if (row) sample({}, row[what])
  }
  counter(metrics, {
    name: 'smartcrm_verified_streams_total',
    help: 'Streams that were folded a second time and compared with the read tables.',
    tell: of('streams'),
  })
  counter(metrics, {
    name: 'smartcrm_verified_wrong_total',
    help: 'How often such a comparison found the read tables to be other than the log makes them.',
    tell: of('wrong'),
  })
}
