import type { Problem } from '../../schema/problem.ts'
import type { ContactInput } from '../import/contact-input.ts'
import { comparePositions, parsePosition } from '../platform/position.ts'
import { backOff, call, problemText, type Service, ServiceError, TRANSIENT } from './service.ts'

/** What became of one contact; `reason` only of a failed one. */
export type Outcome = { outcome: 'created' | 'updated' | 'unchanged' } | { outcome: 'failed'; reason: string }

type Result = { status: number; outcome: 'created' | 'updated' | 'unchanged' | 'failed'; repeated?: boolean; problem?: Problem }

/**
 * Sends one batch, and gives what became of each contact, in their order. The key is the same whenever this batch of this import is sent, so
 * what was applied before is not applied again.
 * @returns the position from which on the results can be read
 * @throws ServiceError
 */
export async function sendBatch(
  service: Service,
  { importId, index, inputs }: { importId: string; index: number; inputs: ContactInput[] },
): Promise<{ outcomes: Outcome[]; position: string | null }> {
  const retry = backOff(service)
  let known: Result[] = []
  for (;;) {
    const answer = await call(service, {
      method: 'POST',
      path: '/v1/contacts/batch',
      headers: { 'idempotency-key': `${importId}-${index}`, 'x-correlation-id': importId },
      body: { inputs },
    })
    const results = (answer.body as { results?: Result[] } | undefined)?.results
    if (!Array.isArray(results) || results.length !== inputs.length) {
      throw new ServiceError(`${service.url} did not answer as SmartCRM does. Check SMARTCRM_URL.`, true)
    }
    // A contact that could not be written just now is sent again with the others, whose first answers stand.
    known = results.map((result, at) => (known[at] && !isTransient(known[at]) ? known[at] : result))
    const transient = known.find(isTransient)
    if (!transient) return { outcomes: known.map(outcomeOf), position: answer.headers.get('smartcrm-position') }
    await retry(problemText(transient.problem))
  }
}

const isTransient = ({ status }: Result): boolean => TRANSIENT.has(status)

function outcomeOf({ outcome, repeated, problem }: Result): Outcome {
  if (outcome === 'failed') return { outcome, reason: problemText(problem) }
  return { outcome: repeated ? 'unchanged' : outcome }
}

/** The later of two positions as the service writes them. */
export function laterPosition(a: string | null, b: string | null): string | null {
  const [one, other] = [parsePosition(a ?? ''), parsePosition(b ?? '')]
  if (!one || !other) return one ? a : other ? b : null
  return comparePositions(one, other) > 0 ? a : b
}

/**
 * Waits until what was written up to a position can be read.
 * @throws ServiceError when patience runs out before
 */
export async function waitUntilReadable(service: Service, position: string): Promise<void> {
  try {
    await call(service, { method: 'GET', path: '/v1/contacts?limit=1', headers: { 'smartcrm-after': position, prefer: 'wait=30' } })
  } catch (error) {
    if (!(error instanceof ServiceError) || error.wrongCall) throw error
    throw new ServiceError(
      `Everything is written, but it could not be read within ${service.patienceSeconds} seconds: queries will show it later.`,
    )
  }
}
