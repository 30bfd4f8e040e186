import { projections } from '../../projections/index.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import { completeTables } from '../complete-tables.ts'
import { contact, isKnown } from '../contacts/contact.ts'
import { distinctiveValues, eraseContact, everyAddress } from '../contacts/erase.ts'
import { partsOf } from '../contacts/merging.ts'
import { suppress } from '../contacts/suppression.ts'
import { eraseEmail, eraseKeys } from '../emails/erase.ts'
import { forgetEnrichment } from '../enrichment/enrichment.ts'
import type { Command } from '../platform/decider.ts'
import { Failed, FailedForGood, type JobRun } from '../platform/jobs.ts'
import { isWorkedOn } from '../platform/jobs-store.ts'
import { forgetFaults } from '../platform/projections/parked.ts'
import { emptyRetired } from '../platform/projections/retired.ts'
import { dropUnsound } from '../platform/projections/snapshots.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { enlist } from './enlist.ts'
import { type Asked, completeErasure, erasure, prepareErasure } from './erasure.ts'
import { findAndRecord, maskMail } from './find.ts'
import { proveErasure, rewriteKeys } from './proof.ts'
import { receiptOf } from './receipt.ts'
import { removeUploads } from './uploads.ts'

const { ContactUnmergedFrom } = contactEvents
type Run = JobRun<Services>

/** Carries out a command as often as it may take; that its subject was erased meanwhile is as good. */
async function settle({ execute }: Run, index: string, command: Command, body: object, id: string): Promise<void> {
  await execute(index, command, body, { id }).catch((error: unknown) => {
    if (!(error instanceof Refused && error.code === 'erased')) throw error
  })
}

/**
 * Erases a person. In this order, so that whoever is killed anywhere in it is followed by one who does the same again, and it comes to the same:
 *
 * 1. What he is known by is kept, sealed with the erasure's own key: afterwards nothing else tells.
 * 2. His addresses are suppressed, so that nothing brings them back, and every reader of mails sees them masked.
 * 3. `ContactErased`: no table shows him, every command on him is refused.
 * 4. Mails and enrichments are looked for in tables that have all that came before; what is about to be taken away is recorded, and then it is done.
 * 5. What lies beside: uploads, snapshots, tables kept for a rollback.
 * 6. His keys are destroyed.
 * 7. It is proved, the receipt is recorded, and the erasure's own key goes.
 */
export async function carryOutErasure(erasureId: string, job: Run) {
  const { services, signal } = job
  const stateNow = async () => fold(erasure, await services.runner.load(`erasure-${erasureId}`))
  let state = await stateNow()
  if (state.status === 'unknown') throw new FailedForGood('erasure-not-found', 'There is no such erasure.')
  if (state.status === 'completed') await dropOwnKey(erasureId, state, job)
  if (state.status !== 'confirmed') return resultOf(state)

  const { contactIds, keyIds, addresses, values } = state.prepared ?? (await prepare(erasureId, job))
  job.progress(1, STEPS, 'suppresses the addresses')
  let suppressed = await suppressAll(addresses, contactIds, job)
  for (const id of contactIds) await settle(job, `contact ${id}`, eraseContact, { erasureId }, id)
  // One more may have been added just before.
  const late = (await addressesOf(services, contactIds)).filter((address) => !addresses.includes(address))
  suppressed += await suppressAll(late, contactIds, job)
  const everyOne = [...addresses, ...late]
  const digests = everyOne.map(services.concealed.digestOf)
  await enlist(services.erasureList, { erasureId, keyIds, suppressed: digests })

  job.progress(2, STEPS, 'waits for what is under way')
  await untilNobodyWorks(contactIds, job)
  job.progress(3, STEPS, 'looks for mails')
  // What an earlier attempt was about to do.
  await takeAway(state, job)
  for (let before = ''; ; ) {
    const tables = await completeTables(services, projections, { signal })
    const found = await findAndRecord(tables, { erasureId, contactIds, addresses: everyOne }, job)
    if (!found) break
    await takeAway(found, job)
    const now = JSON.stringify(found)
    if (now === before) throw new Failed('tables-unlike', 'The read tables go on showing what was taken away. Are there parked events?')
    before = now
  }
  state = (await stateNow()) as Asked

  job.progress(4, STEPS, 'clears what lies beside')
  const uploads = await removeUploads(contactIds, job)
  job.progress(5, STEPS, 'destroys the keys')
  await eraseKeys(services, keyIds)
  await forgetFaults(
    services.pool,
    contactIds.map((id) => `contact-${id}`),
  )
  await emptyRetired(services.pool)
  await dropUnsound(services.pool)

  job.progress(6, STEPS, 'searches for what may be left')
  const proof = await proveErasure({ now: state.now, addresses: everyOne, values }, job)
  const events = await services.runner.load(`erasure-${erasureId}`)
  const leftBehind = await formerlyIn(services, contactIds)
  const done = { leftBehind, keys: keyIds.length, contacts: contactIds.length, suppressed, uploads, proof }
  const receipt = receiptOf(events, state, done, new Date().toISOString())
  await job.execute('complete', completeErasure, { receipt, ...proof.sign(receipt) }, { id: erasureId })
  await dropOwnKey(erasureId, state, job)
  job.progress(STEPS, STEPS)
  return resultOf({ ...state, prepared: { contactIds, keyIds, addresses, values } })
}

const STEPS = 7

const resultOf = ({ erased, masked, prepared }: Asked) => ({
  erased: erased.length,
  masked: masked.length,
  keys: erased.length + (prepared?.keyIds.length ?? 0),
})

/** The contact, and those that were merged into it: they are the same person. */
async function subjectsOf({ runner }: Services, contactId: string): Promise<string[]> {
  const state = fold(contact, await runner.load(`contact-${contactId}`))
  return isKnown(state) ? [contactId, ...partsOf(state).map((part) => part.contactId)] : [contactId]
}

async function prepare(erasureId: string, { services, execute }: Run) {
  const contactIds = await subjectsOf(services, erasureId)
  const streams = await streamsOf(services, contactIds)
  const known = streams.filter((events) => fold(contact, events).status !== 'unknown')
  if (known.length === 0) throw new FailedForGood('contact-not-found', 'There is no such contact.')
  const events = streams.flat()
  const prepared = {
    contactIds,
    keyIds: [...new Set(events.flatMap(({ meta }) => meta.key ?? []))],
    addresses: everyAddress(events),
    values: distinctiveValues(events),
  }
  const outcome = await execute('prepare', prepareErasure, prepared, { id: erasureId })
  return (fold(erasure, outcome.events) as Asked).prepared!
}

const streamsOf = ({ runner }: Services, contactIds: readonly string[]) => Promise.all(contactIds.map((id) => runner.load(`contact-${id}`)))

const addressesOf = async (services: Services, contactIds: readonly string[]): Promise<string[]> =>
  everyAddress((await streamsOf(services, contactIds)).flat())

/** Whom they were part of until they were unmerged: what those took over is sealed with keys of theirs. */
async function formerlyIn(services: Services, contactIds: readonly string[]): Promise<string[]> {
  const left = (await streamsOf(services, contactIds))
    .flat()
    .flatMap(({ type, data }) => (type === ContactUnmergedFrom.type ? [(data as { into: string }).into] : []))
  return [...new Set(left)].filter((id) => !contactIds.includes(id))
}

async function suppressAll(addresses: readonly string[], contactIds: readonly string[], { services, execute }: Run): Promise<number> {
  let count = 0
  for (const address of addresses) if (await suppress(services, address, contactIds, execute)) count += 1
  return count
}

const ATTEMPTS_TO_WAIT = 60

/** A call that is paid for is brought to its end; nothing new is begun for one that is erased. */
async function untilNobodyWorks(contactIds: readonly string[], { services, attempt }: Run): Promise<void> {
  for (const contactId of contactIds)
    if (attempt < ATTEMPTS_TO_WAIT && (await isWorkedOn(services.pool, 'enrich', contactId)))
      throw new Failed('contact-in-use', 'An enrichment of this contact is under way; it ends soon.', { retryAfterSeconds: 2 })
}

type Planned = Pick<Asked, 'contactId' | 'erased' | 'masked' | 'enrichments'>

/** Does what was recorded; again changes nothing. That mails' keys go is in the list outside of backups before they do. */
async function takeAway({ contactId, erased, masked, enrichments }: Planned, job: Run): Promise<void> {
  const { services, signal } = job
  const streams = [...erased.map((id) => `email-${id}`), ...enrichments.map((id) => `enrichment-${id}`)]
  if (streams.length > 0) await enlist(services.erasureList, { erasureId: contactId, keyIds: await keysOf(erased, services), streams })
  for (const emailId of erased) {
    signal.throwIfAborted()
    await eraseEmail(services, emailId, (index, ...rest) => job.execute(index, ...rest))
  }
  for (const emailId of masked) {
    signal.throwIfAborted()
    await maskMail(emailId, job)
  }
  for (const id of enrichments) await settle(job, `enrichment ${id}`, forgetEnrichment, { contactId }, id)
}

async function keysOf(emailIds: readonly string[], { store }: Services): Promise<string[]> {
  const keys: string[] = []
  for (const id of emailIds) {
    const first = await store.readFirst(`email-${id}`)
    const { key } = (first?.metadata ?? {}) as { key?: string | null }
    if (key) keys.push(key)
  }
  return keys
}

/** What the person was known by is not needed any more. */
async function dropOwnKey(erasureId: string, { now }: Asked, job: Run): Promise<void> {
  const { services } = job
  const events = await services.runner.load(`erasure-${erasureId}`)
  const keyIds = [...new Set(events.flatMap(({ meta }) => meta.key ?? []))]
  await enlist(services.erasureList, { erasureId, keyIds })
  await eraseKeys(services, keyIds)
  await rewriteKeys(now, job)
}
