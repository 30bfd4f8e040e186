import { isBroughtElsewhere } from '../../projections/undo-scope.ts'
import { seesEmail } from '../../projections/visibility.ts'
import type { Method } from '../../schema/contact-events.ts'
import type { EmailEvent } from '../../schema/email-events.ts'
import type { UndoOutcome } from '../../schema/undo-events.ts'
import { contact, isSeen } from '../contacts/contact.ts'
import { BlobDamaged, BlobErased, BlobMissing } from '../platform/blob-errors.ts'
import { categoryOf, type RecordedEvent } from '../platform/event.ts'
import { Refused } from '../platform/refusal.ts'
import { fold, headOf, type Request } from '../platform/runner.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Services } from '../services.ts'
import { type Conflict, isErased, type Plan } from './plan.ts'
import { settleMerges } from './settle-merges.ts'
import { type Asked, planOf, type UndoableCategory, undoCommands } from './undo-stream.ts'

export type Settling = {
  readonly services: Services
  readonly asked: Omit<Asked, 'taken'>
  readonly viewer: Viewer
  readonly dryRun: boolean
  requestOf(stream: string): Request
}

export type Settled = Omit<UndoOutcome, 'stream'>
/** Addresses that are not to be given back: to whom they belong, as far as that may be told. */
type Taken = Map<string, string | undefined>
const SUPPRESSED = 'suppressed'

const nothing = { fields: [], conflicts: [] }
const absent: Settled = { outcome: 'absent', fields: [], conflicts: [] }
const isRefused = (error: unknown, code: string): error is Refused => error instanceof Refused && error.code === code

/**
 * What becomes of one stream: it is put back as far as it can be, by one command, or it is only found out how far that is.
 * @param earlier settles when the streams that were begun with before this one are settled: one of them may have to give an address back first
 * @throws Unavailable, and whatever nobody had thought of: the same again goes on
 */
export async function settleStream(settling: Settling, stream: string, earlier: () => Promise<unknown>): Promise<Settled> {
  const category = categoryOf(stream) as UndoableCategory
  const id = stream.slice(category.length + 1)
  const { services, viewer, dryRun } = settling
  const asked: Asked = { ...settling.asked, taken: [], isReleased: dryRun }
  let events = await services.runner.load(stream)
  if (category === 'email' && !(await seesEmail(services.pool, viewer, id))) return absent
  const isThere = isErased(events) ? viewer.sees === 'all' : category !== 'contact' || isSeen(fold(contact, events), viewer)
  if (!isThere) return absent

  let plan = planOf(category, id, events, asked)
  const merges = category === 'contact' ? await settleMerges(settling, id, plan.merges, events) : nothing
  // It may be part of one that is unmerged at this moment.
  const isMerged = plan.conflicts.some(({ code }) => code === 'merged')
  if (isMerged) await earlier()
  if (isMerged || plan.merges.length > 0) {
    events = await services.runner.load(stream)
    plan = planOf(category, id, events, asked)
  }
  return beside(merges, await settleFields(settling, stream, id, events, plan, asked, earlier))
}

async function settleFields(
  settling: Settling,
  stream: string,
  id: string,
  events: readonly RecordedEvent[],
  plan: Plan,
  asked: Asked,
  earlier: () => Promise<unknown>,
): Promise<Settled> {
  const category = categoryOf(stream) as UndoableCategory
  const { commandId } = settling.requestOf(stream)
  const last = events.findLastIndex(({ meta }) => meta.commandId === commandId)
  if (last >= 0) {
    // An earlier run of this undo did it, and was killed before it could say so.
    const made = events.filter(({ meta }) => meta.commandId === commandId).length
    return outcomeOf(category, id, events.slice(0, last + 1), made, asked, new Map())
  }
  const objection = plan.events.length > 0 && category === 'email' ? await objectionTo(settling, id, events, plan) : null
  if (objection) return settled({ ...plan, putBack: [], conflicts: [...plan.conflicts, objection] }, events)
  if (plan.events.length === 0) return settled(plan, events)
  return settling.dryRun ? foresee(settling, id, events, plan, asked) : carryOut(settling, stream, id, asked, earlier)
}

/** What became of merges beside what became of fields. */
function beside({ fields, conflicts }: Pick<Settled, 'fields' | 'conflicts'>, of: Settled): Settled {
  if (fields.length + conflicts.length === 0) return of
  const all = { fields: [...fields, ...of.fields], conflicts: [...conflicts, ...of.conflicts] }
  return { ...of, ...all, outcome: outcomeWord(all.fields.length, all.conflicts.length) }
}

async function carryOut(settling: Settling, stream: string, id: string, asked: Asked, earlier: () => Promise<unknown>): Promise<Settled> {
  const { services, viewer, requestOf } = settling
  const category = categoryOf(stream) as UndoableCategory
  const taken: Taken = new Map()
  for (let hasWaited = false; ; ) {
    try {
      const body = { ...asked, taken: [...taken.keys()] }
      const { events, made } = await services.runner.execute(undoCommands[category], body, { id }, { ...requestOf(stream), viewer })
      if (made === 0) return settled(planOf(category, id, events, body), events, taken)
      return outcomeOf(category, id, events, made, asked, taken)
    } catch (error) {
      if (isRefused(error, 'contact-not-found')) return absent
      if (isRefused(error, 'erased')) return { outcome: 'conflict', fields: [], conflicts: [{ field: '', code: 'erased' }] }
      const isSuppressed = isRefused(error, 'address-suppressed')
      if (!isSuppressed && !isRefused(error, 'address-taken')) throw error
      const { address, owner } = error.details as { address: string; owner?: string }
      if (hasWaited || isSuppressed) taken.set(address, isSuppressed ? SUPPRESSED : viewer.sees === 'all' ? owner : undefined)
      else await earlier()
      hasWaited ||= !isSuppressed
    }
  }
}

/** What a command came to that is there already, perhaps by an earlier run, which may have found other addresses taken. @param made how many of the events are its own */
function outcomeOf(
  category: UndoableCategory,
  id: string,
  events: readonly RecordedEvent[],
  made: number,
  asked: Asked,
  taken: Taken,
): Settled {
  const before = events.slice(0, -made)
  const added = new Set(
    events.slice(-made).flatMap(({ type, data }) => (type === 'ContactMethodAdded' ? [(data as { method: Method }).method.id] : [])),
  )
  const missing = addressesIn(planOf(category, id, before, asked)).filter(({ method }) => !added.has(method.id))
  return settled(planOf(category, id, before, { ...asked, taken: missing.map(({ address }) => address) }), before, taken)
}

/** What would be put back, and which addresses somebody has who would not give them back himself. */
async function foresee(settling: Settling, id: string, events: readonly RecordedEvent[], plan: Plan, asked: Asked): Promise<Settled> {
  const { services, viewer } = settling
  const taken: Taken = new Map()
  for (const { address } of addressesIn(plan)) {
    if (services.concealed.has(address)) taken.set(address, SUPPRESSED)
    const owner = await services.claims.contactOf([address])
    if (owner === null || owner === id) continue
    const his = planOf('contact', owner, await services.runner.load(`contact-${owner}`), asked)
    const isFreed = his.putBack.some(({ from, to }) => to === null && (from as Method | null)?.normalized === address)
    if (!isFreed) taken.set(address, viewer.sees === 'all' ? owner : undefined)
  }
  return settled(taken.size > 0 ? planOf('contact', id, events, { ...asked, taken: [...taken.keys()] }) : plan, events, taken)
}

/** The addresses that a plan gives back to a contact. */
const addressesIn = ({ putBack }: Plan) =>
  putBack.flatMap(({ field, to }) => {
    const method = field.startsWith('methods/') ? (to as Method | null) : null
    return method?.type === 'email' && method.normalized ? [{ address: method.normalized, method }] : []
  })

/** Why a mail is not to be taken away, or can't be stored again. */
async function objectionTo(settling: Settling, id: string, events: readonly RecordedEvent[], { putBack }: Plan): Promise<Conflict | null> {
  const { services, asked, dryRun } = settling
  const [{ from, to }] = putBack as [Plan['putBack'][0]]
  const objection = (code: Conflict['code']): Conflict => ({ field: 'stored', code, now: from, by: null })
  if (!asked.may.emails) return objection('not-allowed')
  const { data } = events.findLast(({ type }) => type === 'EmailReceived' || type === 'EmailSent') as Extract<
    EmailEvent,
    { type: 'EmailReceived' }
  >
  if (to === false) return (await isBroughtElsewhere(services.pool, id, data.source)) ? objection('brought-elsewhere') : null
  const keyId = headOf(events).key!
  const key = (await services.vault.keys([keyId])).get(keyId)
  if (!key) return objection('erased')
  try {
    for (const { sha256 } of [data.raw, ...(data.html ? [data.html] : []), ...data.attachments]) {
      // Nothing has referred to them for a while: put again, they stay until something does.
      if (dryRun) await services.blobs.stat({ id: keyId, key }, sha256)
      else await services.blobs.put({ id: keyId, key }, await services.blobs.get({ id: keyId, key }, sha256))
    }
    return null
  } catch (error) {
    if (error instanceof BlobMissing || error instanceof BlobDamaged || error instanceof BlobErased) return objection('content-gone')
    throw error
  }
}

function settled({ putBack, conflicts }: Plan, events: readonly RecordedEvent[], taken: Taken = new Map()): Settled {
  return {
    outcome: outcomeWord(putBack.length, conflicts.length),
    revision: events.at(-1)!.revision,
    fields: putBack.map(({ field }) => field),
    conflicts: conflicts.map(({ field, code, by }) => {
      const address = code === 'address-taken' ? addressOf(events, field) : undefined
      const owner = address === undefined ? undefined : taken.get(address)
      if (owner === SUPPRESSED) return { field, code: 'address-suppressed' as const }
      return { field, code, ...(by && { eventId: by.id }), ...(owner !== undefined && { owner }) }
    }),
  }
}

const outcomeWord = (putBack: number, conflicts: number) =>
  putBack > 0 ? (conflicts > 0 ? 'partly' : 'undone') : conflicts > 0 ? 'conflict' : 'unchanged'

/** The address of a method that a contact had at some time. */
function addressOf(events: readonly RecordedEvent[], field: string): string | undefined {
  const methodId = field.slice('methods/'.length)
  const methods = events.flatMap(({ data }) => {
    const { method, methods = [] } = data as { method?: Method; methods?: Method[] }
    return method ? [method, ...methods] : methods
  })
  return methods.find(({ id }) => id === methodId)?.normalized
}
