import type { Pool } from '../database.ts'
import type { StoredEvent } from '../event.ts'
import { comparePositions, formatPosition, type Position, START } from '../position.ts'
import { Unavailable } from '../refusal.ts'
import { isWitnessed } from '../witness.ts'
import { type Add, type ChainOptions, createChain, type Finding } from './chain.ts'
import { createSealing, createStretches, readTestimony, type Seal } from './testimony.ts'

export type Audited = {
  readonly events: number
  readonly streams: number
  /** Events of types that this version does not know: only their hashes were checked. */
  readonly unknown: number
  readonly findings: readonly Finding[]
  /** How many there are; only the first are named. */
  readonly found: number
  readonly seal: Seal
}

export type AuditOptions = Omit<ChainOptions, 'witnessed'> & {
  readonly pool: Pool
  readAll(after: Position | null, limit: number): Promise<StoredEvent[]>
  end(): Promise<Position | null>
  /** Of an earlier audit. */
  readonly seal?: Seal | undefined
  readonly signal: AbortSignal
  /** @param share from 0 to 1 */
  progress(share: number): void
}

const PAGE = 1_000
const NAMED = 1_000
/** Where the server refuses to read an event, so many places behind it are tried. */
const SKIPPED = 100

/**
 * Reads the whole log and finds what somebody changed in the store by hand: every event's hash, its link to the one before it in its stream, its
 * revision, its sealed part and its form; and, by what was witnessed while it was new (witness.ts), what a forger who computes all these anew has changed,
 * what is gone from the ends of streams or of the log, and what stands at another place. What it cannot find: an event that was added by hand behind
 * all that was witnessed, like any other append; and changes by who has forged the witness in Postgres too, for which there is the seal.
 * @throws Unavailable when log or keys are away
 */
export async function auditLog(options: AuditOptions): Promise<Audited> {
  const { pool, signal, progress } = options
  const report = createReport()
  const testimony = await readTestimony(pool)
  const end = (await options.end()) ?? START
  const stretches = createStretches(testimony.stretches, report.add)
  const chain = createChain({ ...options, witnessed: testimony.heads }, report.add)
  const sealing = createSealing(options.seal, report.add)

  for await (const page of pagesOf(options, end, report.add)) {
    signal.throwIfAborted()
    const own = page.filter(isWitnessed)
    for (const event of own) {
      stretches.next(event)
      sealing.next(event)
    }
    await chain.next(page)
    if (page.length > 0) progress(Number(page.at(-1)!.position.commit) / Number(end.commit))
  }
  stretches.end()
  chain.end()
  if (comparePositions(testimony.reached, end) > 0)
    report.add({ what: 'the log ends before what the tables have come to', position: formatPosition(testimony.reached) })
  return { ...chain.counts(), ...report.told(), seal: sealing.end() }
}

function createReport() {
  const findings: Finding[] = []
  let found = 0
  return {
    add: ((finding) => {
      found += 1
      if (findings.length < NAMED) findings.push(finding)
    }) satisfies Add as Add,
    told: () => ({ findings, found }),
  }
}

/** The log up to where it ended when this began. What the server refuses to read is named, and what comes after it is looked for. */
async function* pagesOf({ readAll, signal }: AuditOptions, end: Position, add: Add): AsyncGenerator<StoredEvent[]> {
  let limit = PAGE
  let skipped = 0
  for (let after: Position | null = null; !signal.aborted; ) {
    let page: StoredEvent[]
    try {
      page = await readAll(after, limit)
    } catch (error) {
      const damage = damageOf(error)
      if (damage === null) throw error
      if (limit > 1) {
        limit = Math.ceil(limit / 10)
        continue
      }
      if (skipped === 0) add({ what: `cannot be read: ${damage}`, position: formatPosition(after ?? START) })
      skipped += 1
      if (skipped > SKIPPED) return
      const next: bigint = (after?.commit ?? 0n) + 1n
      after = { commit: next, prepare: next }
      continue
    }
    if (skipped > 0) limit = PAGE
    skipped = 0
    const last = page.at(-1)
    yield page.filter(({ position }) => comparePositions(position, end) <= 0)
    if (!last || page.length < limit || comparePositions(last.position, end) >= 0) return
    if (after && comparePositions(last.position, after) <= 0)
      return add({ what: 'positions do not grow', position: formatPosition(last.position) })
    after = last.position
  }
}

/** Of an error of the event store that says so; null: it is away. */
function damageOf(error: unknown): string | null {
  const { message } = ((error as Error).cause ?? error) as Error
  return error instanceof Unavailable && /damaged|DATA_LOSS/i.test(message) ? message.replace(/^\d+ \w+: /, '') : null
}
