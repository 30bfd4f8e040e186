import { setTimeout as delay } from 'node:timers/promises'
import type { FragmentSqlToken } from 'slonik'
import { type Checkpoint, Fenced, LIVE } from './checkpoint.ts'
import { type Pool, sql } from './database.ts'
import type { Logger } from './log.ts'

/** A time of leading. Its epoch is the fencing token: nothing is written without it. */
export type Term = {
  readonly epoch: number
  /** Aborts when the lease is lost or to be given up. */
  readonly signal: AbortSignal
}

export type Lease = {
  /** Looks now whether it is free, or still held, instead of when it is time to. */
  poke(): void
  /** Lets the leader finish what it is at, and gives the lease to whoever wants it. */
  close(): Promise<void>
}

export type LeaseOptions = {
  readonly pool: Pool
  readonly log: Logger
  /** This process. */
  readonly owner: string
  /** A condition on the row of smartcrm.checkpoints (`c`) beside its being free: where it does not hold, this process must not lead. */
  readonly when?: FragmentSqlToken
  readonly checkpoint?: string
  /** How long after its last renewal a lease is void. */
  readonly leaseMs?: number
  readonly renewMs?: number
  /** How often one who stands by looks whether the lease is free. Together with `leaseMs` this bounds a takeover. */
  readonly retryMs?: number
}

/**
 * Leads whenever the lease on the checkpoint's row is free, again and again; otherwise stands by. Only Postgres's clock counts.
 * That two never write at once does not hang on time at all: each term has a new epoch, and the checkpoint moves in its own epoch only.
 * @param lead works until the term's signal aborts. Should it throw Fenced, this stands by again; after anything else this process leads no more
 */
export function holdLease(options: LeaseOptions, lead: (term: Term) => Promise<void>): Lease {
  const { pool, log, owner, when = sql.fragment`true`, checkpoint = LIVE, leaseMs = 15_000, renewMs = 5_000, retryMs = 2_000 } = options
  const closing = new AbortController()
  let poked = new AbortController()
  const pause = (ms: number, signal: AbortSignal) => delay(ms, undefined, { signal }).catch(() => {})
  const until = sql.fragment`clock_timestamp() + ${leaseMs} * interval '1 millisecond'`

  // `skip locked`: while a batch of the leader is being written, its row is not to be waited for.
  const acquire = async (): Promise<number | null> => {
    const [row] = await pool.rows<Pick<Checkpoint, 'epoch'>>(sql.unsafe`
      update smartcrm.checkpoints set owner = ${owner}, epoch = epoch + 1, lease_until = ${until}
      where name = (
        select c.name from smartcrm.checkpoints c
        where c.name = ${checkpoint} and (c.owner is null or c.owner = ${owner} or c.lease_until < clock_timestamp()) and ${when}
        for update skip locked)
      returning epoch`)
    return row?.epoch ?? null
  }
  const renew = (epoch: number) =>
    pool.rows(
      sql.unsafe`update smartcrm.checkpoints set lease_until = ${until} where name = ${checkpoint} and epoch = ${epoch} returning epoch`,
    )
  const release = (epoch: number) =>
    pool.rows(sql.unsafe`
      update smartcrm.checkpoints set owner = null, lease_until = '-infinity' where name = ${checkpoint} and epoch = ${epoch}`)

  const keepRenewing = async (epoch: number, term: AbortController) => {
    for (;;) {
      await pause(renewMs, AbortSignal.any([term.signal, poked.signal]))
      if (term.signal.aborted) return
      poked = new AbortController()
      const rows = await renew(epoch).catch((err) => log.warn({ err, epoch }, 'the lease could not be renewed; trying again'))
      if (rows?.length === 0) term.abort(new Fenced())
    }
  }

  const leadOnce = async (epoch: number) => {
    const term = new AbortController()
    const stop = () => term.abort(closing.signal.reason)
    closing.signal.addEventListener('abort', stop)
    if (closing.signal.aborted) stop()
    const renewing = keepRenewing(epoch, term)
    try {
      await lead({ epoch, signal: term.signal })
      if (term.signal.reason instanceof Fenced) throw term.signal.reason
    } finally {
      closing.signal.removeEventListener('abort', stop)
      term.abort()
      await renewing
      await release(epoch).catch((err) => log.warn({ err, epoch }, 'the lease could not be released; it ends by itself'))
    }
  }

  const standBy = async () => {
    let isAway = false
    while (!closing.signal.aborted) {
      try {
        const epoch = await acquire()
        isAway = false
        if (epoch !== null && !(await leadAndTell(epoch))) return
      } catch (err) {
        if (!isAway) log.warn({ err }, 'the lease cannot be asked for; trying again')
        isAway = true
      }
      await pause(retryMs * (0.75 + Math.random() / 4), AbortSignal.any([closing.signal, poked.signal]))
      poked = new AbortController()
    }
  }

  /** @returns whether to stand by again afterwards */
  const leadAndTell = async (epoch: number): Promise<boolean> => {
    log.info({ epoch }, 'leading')
    try {
      await leadOnce(epoch)
      log.info({ epoch }, 'no longer leading')
      return true
    } catch (err) {
      if (err instanceof Fenced) log.warn({ epoch }, 'another process took the lease over; standing by')
      else log.error({ err, epoch }, 'stopped leading until this process is started again')
      return err instanceof Fenced
    }
  }

  const running = standBy()
  return {
    poke: () => poked.abort(),
    async close() {
      closing.abort()
      await running
    },
  }
}
