import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isOurs } from './codec.ts'
import { type Database, type Pool, sql } from './database.ts'
import type { Metadata, RecordedEvent, StoredEvent } from './event.ts'
import { createFollower, type FollowerOptions } from './follower.ts'
import { holdLease } from './lease.ts'
import type { Logger } from './log.ts'
import { formatPosition } from './position.ts'
import { isLasting } from './projections/moments.ts'

/** The position up to which the log is witnessed. */
export const WITNESS = 'witness'

export type WitnessOptions = {
  readonly pool: Pool
  readonly log: Logger
  readonly subscribe: FollowerOptions<never>['subscribe']
  /** This process. */
  readonly owner: string
  /** From one look to the next while little happens. */
  readonly gatherMs?: number
}

const BULK = { events: 2_000, bytes: 8 * 2 ** 20 }
const GATHER_MS = 2_000
/** Heartbeats are not witnessed: while there is nothing else, its position stands still. */
const IDLE_MS = 60_000

/** The events that are witnessed, and audited: all of SmartCRM's own but the heartbeat, whose stream forgets. */
export const isWitnessed = (event: Pick<StoredEvent, 'type' | 'stream' | 'metadata'>) => isLasting(event) && isOurs(event.metadata)

/** What one event adds to the digest of its stretch: its place, the log's own time, and the hash over all that it says. */
export const witnessLine = ({ position, created, metadata }: Pick<StoredEvent, 'position' | 'created' | 'metadata'>): string =>
  `${formatPosition(position)} ${created} ${(metadata as Metadata).hash}\n`

/**
 * Notes in Postgres what the log says while it is new: the newest event of each stream, and a digest of each stretch. Whoever changes the log later, with all
 * its checksums and hashes, does not agree with it any more (audit.ts). It opens no event and judges none.
 */
export function keepWitness({ pool, log, subscribe, owner, gatherMs = GATHER_MS }: WitnessOptions): { close(): Promise<void> } {
  const closing = new AbortController()
  let last = 0
  const follower = createFollower<RecordedEvent>({
    pool,
    log,
    subscribe,
    checkpoint: WITNESS,
    target: 'the witness of the log',
    limits: BULK,
    idleMs: IDLE_MS,
    decode: async (events) => events.map((event) => ({ ...event, meta: event.metadata as Metadata, erased: false, known: true })),
    interpret: (event) => (isWitnessed({ ...event, metadata: event.meta }) ? [event] : []),
    async apply(db, events) {
      last = events.length
      if (events.length > 0) await note(db, events)
    },
    // What comes meanwhile is one stretch.
    pace: () => (last < BULK.events / 2 ? delay(gatherMs, undefined, { signal: closing.signal }).catch(() => {}) : Promise.resolve()),
  })
  const begun = pool
    .rows(sql.unsafe`insert into smartcrm.checkpoints (name) values (${WITNESS}) on conflict do nothing`)
    .catch((err) => log.warn({ err }, 'the log is not witnessed until this process starts again'))
    .then(() => holdLease({ pool, log, owner, checkpoint: WITNESS }, follower.lead))
  return {
    async close() {
      closing.abort()
      await (await begun).close()
    },
  }
}

async function note(db: Database, events: readonly RecordedEvent[]): Promise<void> {
  const heads = new Map(events.map((event) => [event.stream, event]))
  const rows = [...heads.values()].map(({ stream, revision, meta, position }) => ({
    stream,
    revision,
    hash: meta.hash,
    commit_position: String(position.commit),
    prepare_position: String(position.prepare),
  }))
  await db.rows({
    ...sql.unsafe`
      insert into smartcrm.witnessed_streams (stream, revision, hash, commit_position, prepare_position)
      select * from json_to_recordset(${JSON.stringify(rows)}::json)
        as k (stream text, revision bigint, hash text, commit_position bigint, prepare_position bigint)
      on conflict (stream) do update set revision = excluded.revision, hash = excluded.hash,
        commit_position = excluded.commit_position, prepare_position = excluded.prepare_position`,
    name: 'witness-streams',
  })
  const { position } = events.at(-1)!
  const digest = hash('sha256', events.map((event) => witnessLine({ ...event, metadata: event.meta })).join(''), 'hex')
  const latest = events.reduce((latest, { created }) => (created > latest ? created : latest), '')
  await db.rows({
    ...sql.unsafe`
      insert into smartcrm.witnessed_stretches (commit_position, prepare_position, latest, digest)
      select ${position.commit}, ${position.prepare},
        greatest(${latest}::timestamptz, (select latest from smartcrm.witnessed_stretches order by commit_position desc, prepare_position desc limit 1)), ${digest}`,
    name: 'witness-stretch',
  })
}
