import { deepStrictEqual } from 'node:assert/strict'
import t from 'tap'
import { claimEvents } from '../../schema/claim-events.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import { emailEvents } from '../../schema/email-events.ts'
import { enrichmentEvents } from '../../schema/enrichment-events.ts'
import { erasureEvents } from '../../schema/erasure-events.ts'
import { importEvents } from '../../schema/import-events.ts'
import { distinctiveValues, eraseContact, everyAddress } from '../../src/contacts/erase.ts'
import { liftSuppression, suppressAddress } from '../../src/contacts/suppression.ts'
import { maskEmail } from '../../src/emails/email.ts'
import { failEnrichment, forgetEnrichment } from '../../src/enrichment/enrichment.ts'
import {
  completeErasure,
  confirmErasure,
  erasure,
  prepareErasure,
  recordFound,
  requestErasure,
  withdrawErasure,
} from '../../src/erasure/erasure.ts'
import { emailsSha256, receiptOf } from '../../src/erasure/receipt.ts'
import { recordProgress, removeUpload } from '../../src/import/import.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { fold } from '../../src/platform/runner.ts'
import { email as mail } from '../projections/mail.ts'
import { given, id, rules, subject } from '../support/given.ts'

const { ErasureRequested, ErasureConfirmed, ErasureWithdrawn, ErasurePrepared, ErasureFound, ErasureCompleted } = erasureEvents
const of = { erasureId: subject, contactId: subject }
const asked = { reason: 'requested-by-person' as const, now: false }
// Whoever decides in these tests is key:test.
const requested = ErasureRequested({ ...of, ...asked, requestedBy: 'key:test', confirm: false })
const waiting = ErasureRequested({ ...of, ...asked, requestedBy: 'key:other', confirm: true })
const ownWaiting = ErasureRequested({ ...of, ...asked, requestedBy: 'key:test', confirm: true })
const confirmed = ErasureConfirmed({ ...of, confirmedBy: 'key:test' })
const withdrawn = ErasureWithdrawn(of)
const preparation = { contactIds: [subject], keyIds: [id(1)], addresses: ['ada@example.com'], values: ['Ada Lovelace'] }
const prepared = ErasurePrepared({ ...of, ...preparation })
const finding = { erased: [id(2)], masked: [id(4), id(3)], enrichments: [id(5)], blobs: 3 }
const found = ErasureFound({ ...of, ...finding })

const at = '2026-03-01T09:30:00.000Z'
const recorded = (event: object) => ({ ...event, meta: { at, actor: 'key:test', key: null } }) as unknown as RecordedEvent
const done = {
  contacts: 1,
  keys: 1,
  suppressed: 1,
  leftBehind: [],
  uploads: { removed: 0, left: [] },
  proof: { scan: null, physical: false, notes: ['It was windy.'] },
}
const state = fold(erasure, [requested, prepared, found, found])
if (state.status === 'unknown') throw new Error('no erasure')
const receipt = receiptOf([requested, prepared, found, found].map(recorded), state, done, at)
const completed = ErasureCompleted({ ...of, receipt })

t.test('asking for an erasure', async (t) => {
  const rule = rules(t)
  rule('it is asked for', () =>
    given()
      .when(requestErasure, { ...asked, confirm: false })
      .then(requested),
  )
  rule('with a second key, where that is set', () =>
    given()
      .when(requestErasure, { ...asked, confirm: true })
      .then(ownWaiting),
  )
  for (const [name, before] of Object.entries({
    asked: [requested],
    waiting: [waiting],
    confirmed: [waiting, confirmed],
    completed: [requested, completed],
  }))
    rule(`again changes nothing where it is ${name}, whatever the reason`, () =>
      given(...before)
        .when(requestErasure, { reason: 'other', now: true, confirm: false })
        .thenNothing(),
    )
  rule('one that was withdrawn begins anew', () =>
    given(waiting, withdrawn)
      .when(requestErasure, { ...asked, confirm: false })
      .then(requested),
  )
})

t.test('confirming it', async (t) => {
  const rule = rules(t)
  rule('another key does', () => given(waiting).when(confirmErasure, {}).then(confirmed))
  rule('whoever asked for it cannot', () => given(ownWaiting).when(confirmErasure, {}).refused('erasure-same-actor', 403))
  rule('again changes nothing', () => given(waiting, confirmed).when(confirmErasure, {}).thenNothing())
  rule('nor where nobody had to', () => given(requested).when(confirmErasure, {}).thenNothing())
  rule('what was withdrawn is not confirmed', () => given(waiting, withdrawn).when(confirmErasure, {}).refused('erasure-withdrawn'))
  rule('what nobody asked for neither', () => given().when(confirmErasure, {}).refused('erasure-not-found', 404))
})

t.test('withdrawing it', async (t) => {
  const rule = rules(t)
  rule('while it waits', () => given(waiting).when(withdrawErasure, {}).then(withdrawn))
  rule('again changes nothing', () => given(waiting, withdrawn).when(withdrawErasure, {}).thenNothing())
  rule('not when it is confirmed', () => given(waiting, confirmed).when(withdrawErasure, {}).refused('erasure-under-way'))
  rule('nor when it is done', () => given(requested, completed).when(withdrawErasure, {}).refused('erasure-under-way'))
  rule('nor what nobody asked for', () => given().when(withdrawErasure, {}).refused('erasure-not-found', 404))
})

t.test('carrying it out', async (t) => {
  const rule = rules(t)
  rule('what the person is known by is kept once', () => {
    given(requested).when(prepareErasure, preparation).then(prepared)
    given(requested, prepared).when(prepareErasure, preparation).thenNothing()
  })
  rule('what is to be taken away adds up', () => {
    given(requested, prepared).when(recordFound, finding).then(found)
    const { erased, masked, blobs } = state
    deepStrictEqual({ erased, masked, blobs }, { erased: [id(2), id(2)], masked: [id(4), id(3), id(4), id(3)], blobs: 6 })
  })
  rule('it is completed once', () => {
    given(requested).when(completeErasure, { receipt }).then(completed)
    given(requested, completed).when(completeErasure, { receipt }).thenNothing()
  })
  for (const [name, before, code, status] of [
    ['that waits', [waiting], 'erasure-not-under-way', 409],
    ['that was withdrawn', [waiting, withdrawn], 'erasure-not-under-way', 409],
    ['that nobody asked for', [], 'erasure-not-found', 404],
  ] as const)
    rule(`nothing of it is done for one ${name}`, () => {
      given(...before)
        .when(prepareErasure, preparation)
        .refused(code, status)
      given(...before)
        .when(recordFound, finding)
        .refused(code, status)
      given(...before)
        .when(completeErasure, { receipt })
        .refused(code, status)
    })
  rule('the receipt counts everything once', () => {
    const { destroyed, stays } = receipt
    deepStrictEqual(destroyed, { contacts: 1, keys: 2, emails: 1, blobs: 6, enrichments: 1, uploads: 0 })
    deepStrictEqual([stays.emails, stays.emailsSha256], [2, emailsSha256([id(3), id(4)])])
    t.ok(stays.notes.includes('It was windy.'))
  })
})

t.test('what else is erased', async (t) => {
  const rule = rules(t)
  const { ContactCreated, ContactArchived, ContactErased, ContactMethodAdded, ContactMethodRemoved, NoteAdded } = contactEvents
  const ada = { id: id(1), type: 'email' as const, value: 'Ada@example.com', normalized: 'ada@example.com' }
  const created = ContactCreated({ contactId: subject, name: 'Ada Lovelace', company: 'Engines', methods: [ada] })
  const contactErased = ContactErased({ contactId: subject, erasureId: id(9) })
  rule('a contact, also an archived one', () => {
    given(created)
      .when(eraseContact, { erasureId: id(9) })
      .then(contactErased)
    given(created, ContactArchived({ contactId: subject }))
      .when(eraseContact, { erasureId: id(9) })
      .then(contactErased)
  })
  rule('but none that is not there, or is erased', () => {
    given()
      .when(eraseContact, { erasureId: id(9) })
      .refused('contact-not-found', 404)
    given(created, contactErased)
      .when(eraseContact, { erasureId: id(9) })
      .refused('erased', 410)
  })
  rule('a person is known by what he ever had, and not by what many have', () => {
    const old = { id: id(2), type: 'email' as const, value: 'old@example.com', normalized: 'old@example.com' }
    const events = [
      created,
      ContactMethodAdded({ contactId: subject, method: old }),
      ContactMethodRemoved({ contactId: subject, methodId: old.id }),
      NoteAdded({ contactId: subject, noteId: id(3), text: 'Met.\nLikes canaries very much.' }),
    ].map(recorded)
    deepStrictEqual(everyAddress(events), ['ada@example.com', 'old@example.com'])
    deepStrictEqual(distinctiveValues(events), [
      'Ada Lovelace',
      'Likes canaries very much.',
      'Ada@example.com',
      'ada@example.com',
      'old@example.com',
    ])
  })

  const { AddressClaimed, AddressReleased, AddressSuppressed, AddressSuppressionLifted } = claimEvents
  const claimed = AddressClaimed({ contactId: subject, commandId: id(8) })
  const suppressed = AddressSuppressed({ contactId: subject })
  const lifted = AddressSuppressionLifted({ contactId: subject })
  const suppress = { contactIds: [subject], keptBy: null }
  rule('its addresses are suppressed, whoever had them', () => {
    for (const before of [[], [claimed], [claimed, AddressReleased({ contactId: subject })], [suppressed, lifted]])
      given(...before)
        .when(suppressAddress, suppress)
        .then(suppressed)
    given(AddressClaimed({ contactId: id(7), commandId: id(8) }))
      .when(suppressAddress, suppress)
      .then(suppressed)
  })
  rule('again changes nothing, and what another contact has by now stays his', () => {
    given(claimed, suppressed).when(suppressAddress, suppress).thenNothing()
    given(AddressClaimed({ contactId: id(7), commandId: id(8) }))
      .when(suppressAddress, { ...suppress, keptBy: id(7) })
      .thenNothing()
  })
  rule('that is lifted once, and only where there is something to lift', () => {
    given(claimed, suppressed).when(liftSuppression, {}).then(lifted)
    given(suppressed, lifted).when(liftSuppression, {}).thenNothing()
    given(claimed).when(liftSuppression, {}).thenNothing()
    given().when(liftSuppression, {}).thenNothing()
  })

  const { emailId: _, text, textOwn, html, raw, ...headers } = { ...mail('a mail'), emailId: subject }
  const content = { ...headers, emailId: subject, text, textOwn, html, raw }
  const masked = { ...headers, sent: false, at }
  rule('a stored mail is told anew; what is not there stays away', () => {
    const received = emailEvents.EmailReceived(content)
    given(received)
      .when(maskEmail, masked)
      .then(emailEvents.EmailPartiesMasked({ emailId: subject, ...masked }))
    given().when(maskEmail, masked).thenNothing()
    given(received, emailEvents.EmailRemoved({ emailId: subject, reason: 'removed' }))
      .when(maskEmail, masked)
      .thenNothing()
  })

  const enrichmentRequested = enrichmentEvents.EnrichmentRequested({
    enrichmentId: subject,
    contactId: id(7),
    reason: 'asked',
    refresh: false,
    subject: id(7),
  })
  const enrichmentErased = enrichmentEvents.EnrichmentErased({ enrichmentId: subject, contactId: id(7) })
  rule('an enrichment is over with it', () => {
    given(enrichmentRequested)
      .when(forgetEnrichment, { contactId: id(7) })
      .then(enrichmentErased)
    given(enrichmentRequested, enrichmentErased).when(failEnrichment, { code: 'x', message: 'x', costMicroUsd: 0 }).thenNothing()
  })

  const counts = { stored: 0, known: 0, created: 1, updated: 0, unchanged: 0, failed: 0 }
  const finished = importEvents.ImportFinished({ importId: subject, done: 1, offset: 0, counts })
  const removed = importEvents.ImportUploadRemoved({ importId: subject, done: 1, offset: 0, counts })
  rule('an upload is removed when the import is over, and the import stays over', () => {
    given(finished).when(removeUpload, {}).then(removed)
    given(importEvents.ImportProgressed({ importId: subject, done: 1, offset: 0, counts, outcomes: [] }))
      .when(removeUpload, {})
      .refused('import-not-finished')
    given().when(removeUpload, {}).refused('import-not-finished')
    given(removed)
      .when(recordProgress, { offset: 0, outcomes: [{ index: 1, outcome: 'created' }] })
      .refused('import-not-running')
  })
})
