import { setTimeout as delay } from 'node:timers/promises'
import { Fenced, LIVE, tellTrouble } from '../checkpoint.ts'
import { isOurs } from '../codec.ts'
import { type Pool, sql } from '../database.ts'
import type { StoredEvent } from '../event.ts'
import type { Rest } from '../gather.ts'
import { holdLease, type Lease, type Term } from '../lease.ts'
import { listen } from '../listener.ts'
import type { Logger } from '../log.ts'
import type { Projection } from '../projection.ts'
import { createProjector } from '../projector.ts'
import { build, type Log } from './build.ts'
import { dropRetired } from './retired.ts'
import { boundSnapshots, type SnapshotLimits } from './snapshots.ts'
import { changeStates, detach, moving, PROJECTIONS_CHANNEL, type ProjectionRow, readRows, settle } from './states.ts'

export type LeadOptions = {
  readonly pool: Pool
  readonly log: Logger
  readonly source: Log
  readonly projections: readonly Projection[]
  /** Every type of event that is declared. */
  readonly declared: ReadonlySet<string>
  /** This process. */
  readonly owner: string
  /** Of snapshots as of past moments; as many as are asked for unless given. */
  readonly snapshots?: SnapshotLimits
}

const LOOK_MS = 2_000
const AGAIN_MS = 500
/**
 * Commands come one by one: what comes while a batch is young is taken together, as it costs hardly more. What jobs do in masses costs several times less
 * in large batches, and nobody waits for it, until somebody else's event comes.
 */
const REST: Rest<StoredEvent> = {
  ms: 25,
  bulk: { ms: 1_000, quietMs: 150, count: 8, isAwaited: ({ metadata }) => isOurs(metadata) && !metadata.actor.startsWith('system:') },
}
const SWEEP_MS = 3_600_000

/**
 * Keeps the read tables: follows the log for all that are live, and takes those that are not (new, changed, resumed) there, each set at a position of its
 * own. Of several processes one works at each position, by its lease; the others stand by.
 */
export function leadProjections(options: LeadOptions): { close(): Promise<void> } {
  const { pool, log, source, projections, declared, owner } = options
  const closing = new AbortController()
  const { signal } = closing
  const leases = new Map<string, Lease>()
  let told = new AbortController()
  const tell = () => told.abort()

  const { subscribe, decode } = source
  const live = createProjector({ pool, log, projections, declared, subscribe, decode, rest: REST })
  const leadLive = async (term: Term) => {
    // That begins a new epoch, in which this process leads on.
    if (await orAgain(LIVE, term, () => leaveBehind(pool, projections, log), true)) return tell()
    await live.lead(term)
  }
  const leadBeside = (checkpoint: string) => async (term: Term) => {
    await orAgain(checkpoint, term, () => build({ ...options, checkpoint }, term), undefined)
    tell()
  }
  /** What may pass (log or Postgres away, locks) ends the term, and is tried again in the next. */
  const orAgain = async <T>(checkpoint: string, { epoch }: Term, work: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work()
    } catch (err) {
      if (err instanceof Fenced) throw err
      log.warn({ err, checkpoint }, 'projections cannot be taken further now; trying again')
      await tellTrouble(pool, checkpoint, epoch, (err as Error).message).catch(() => {})
      await delay(AGAIN_MS, undefined, { signal }).catch(() => {})
      return otherwise
    }
  }

  const names = sql.array(
    projections.map(({ name }) => name),
    'text',
  )
  const versions = sql.array(
    projections.map(({ version }) => version),
    'int4',
  )
  const mine = sql.fragment`unnest(${names}, ${versions}) as mine (name, version)`
  const there = sql.fragment`from smartcrm.projections p left join ${mine} on mine.name = p.name where p.checkpoint = c.name`
  /** Older tables are left behind by who leads; newer ones are another's, which must not be left behind by us. */
  const whenLive = sql.fragment`exists (select ${there}) and not exists (select ${there} and p.version > mine.version)`
  const whenBeside = sql.fragment`exists (select ${there} and p.version = mine.version and p.state in ${moving})
    and not exists (select ${there} and p.version is distinct from mine.version)`

  const look = async () => {
    await settle(pool, projections, log)
    const rows = await readRows(pool)
    const wanted = new Set([LIVE, ...rows.filter((row) => isMine(row, projections)).map(({ checkpoint }) => checkpoint)])
    for (const [checkpoint, lease] of leases) {
      if (wanted.has(checkpoint)) continue
      leases.delete(checkpoint)
      await lease.close()
    }
    for (const checkpoint of wanted) {
      if (leases.has(checkpoint)) leases.get(checkpoint)!.poke()
      else if (checkpoint === LIVE) leases.set(checkpoint, holdLease({ pool, log, owner, checkpoint, when: whenLive }, leadLive))
      else leases.set(checkpoint, holdLease({ pool, log, owner, checkpoint, when: whenBeside }, leadBeside(checkpoint)))
    }
  }

  const limits = options.snapshots ?? { count: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }
  const bound = () =>
    boundSnapshots(pool, projections, limits).catch((err) =>
      log.warn({ err }, 'snapshots that are too many could not be dropped; trying again'),
    )

  const keepLooking = async () => {
    while (!signal.aborted) {
      told = new AbortController()
      await look().catch((err) => log.warn({ err }, 'what there is of projections cannot be looked at; trying again'))
      await bound()
      await delay(LOOK_MS, undefined, { signal: AbortSignal.any([signal, told.signal]) }).catch(() => {})
    }
  }
  const keepSweeping = async () => {
    while (!signal.aborted) {
      await dropRetired(pool, projections).catch((err) => log.warn({ err }, 'tables that were kept for a rollback could not be dropped'))
      await delay(SWEEP_MS, undefined, { signal, ref: false }).catch(() => {})
    }
  }
  const listener = listen(pool, log, [PROJECTIONS_CHANNEL], tell, tell)
  const working = [keepLooking(), keepSweeping()]

  return {
    async close() {
      closing.abort()
      await Promise.all([...working, listener.close()])
      await Promise.all([...leases.values()].map((lease) => lease.close()))
    },
  }
}

/** A trial has tables of other code, whatever its version says. */
const isMine = ({ name, version, state, place }: ProjectionRow, projections: readonly Projection[]) =>
  ['reading', 'finishing', 'catching-up'].includes(state) &&
  !place.startsWith('trial_') &&
  projections.some((mine) => mine.name === name && mine.version === version)

/** What is live but not of this code stays where it is, and answers as it is. @returns whether there was such */
async function leaveBehind(pool: Pool, projections: readonly Projection[], log: Logger): Promise<boolean> {
  const others = (rows: readonly ProjectionRow[]) =>
    rows.filter(
      ({ state, name, version }) => state === 'live' && !projections.some((mine) => mine.name === name && mine.version === version),
    )
  if (others(await readRows(pool)).length === 0) return false
  return changeStates(pool, async (db) => {
    const left = others(await readRows(db))
    for (const row of left) {
      log.warn(
        { projection: row.name, version: row.version },
        'the tables of another version stand still until those of this one are built',
      )
      await detach(db, row, 'outdated', null)
    }
    return left.length > 0
  })
}
