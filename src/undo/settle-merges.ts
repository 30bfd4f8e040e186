import type { contactEvents } from '../../schema/contact-events.ts'
import { type Choose, mergeContacts, unmergeContacts } from '../contacts/merge-requests.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { Refused } from '../platform/refusal.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { MergeStep } from './merge-fields.ts'
import type { Settled, Settling } from './settle-stream.ts'

type Begun = ReturnType<typeof contactEvents.ContactMergedInto>['data']
type Ended = ReturnType<typeof contactEvents.ContactUnmerged>['data']
type Merges = Pick<Settled, 'fields' | 'conflicts'>

/**
 * Takes merges into a contact back, or makes them again, as if somebody asked for each. What an earlier run of the same undo did is told with the rest.
 * @throws Unavailable
 */
export async function settleMerges(
  settling: Settling,
  id: string,
  steps: readonly MergeStep[],
  events: readonly RecordedEvent[],
): Promise<Merges> {
  const { services, viewer, dryRun, requestOf } = settling
  const { runner } = services
  const base = { ...requestOf(`contact-${id}`), viewer }
  const fields: string[] = []
  const conflicts: Merges['conflicts'] = []
  const keep = (kept: readonly string[]) => conflicts.push(...kept.map((field) => ({ field, code: 'changed-since' as const })))

  for (const event of events)
    if (event.meta.$correlationId === base.correlationId && (event.type === 'ContactMerged' || event.type === 'ContactUnmerged')) {
      const { mergeId, kept = [] } = event.data as Ended
      fields.push(`merges/${mergeId}`)
      keep(kept)
    }
  for (const { mergeId, from, act } of steps) {
    const commandId = uuidv5(`${act} ${mergeId}`, base.commandId)
    try {
      const request = { ...base, commandId, request: commandId }
      if (act === 'unmerge') {
        const { survivor } = await unmergeContacts(runner, { id, from, dryRun }, request)
        keep(keptOf(survivor, mergeId))
      } else {
        const begun = (await runner.load(`contact-${from}`)).find(
          ({ type, data }) => type === 'ContactMergedInto' && (data as Begun).mergeId === mergeId,
        )?.data as Begun | undefined
        const choose = Object.fromEntries((begun?.chosen ?? []).map(({ field, choice }) => [field, choice])) as Choose
        await mergeContacts(runner, { id, from, choose, dryRun }, request)
      }
      fields.push(`merges/${mergeId}`)
    } catch (error) {
      if (!(error instanceof Refused) || error.retryAfterSeconds !== undefined) throw error
      conflicts.push({ field: `merges/${mergeId}`, code: error.code === 'erased' ? 'erased' : 'merge-refused' })
    }
  }
  return { fields, conflicts }
}

/** The fields that somebody changed since the merge, and that stay. */
const keptOf = (survivor: readonly RecordedEvent[], mergeId: string): readonly string[] =>
  survivor.flatMap(({ type, data }) => (type === 'ContactUnmerged' && (data as Ended).mergeId === mergeId ? (data as Ended).kept : []))
