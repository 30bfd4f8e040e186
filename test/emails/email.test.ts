import { deepStrictEqual } from 'node:assert/strict'
import t from 'tap'
import { emailEvents } from '../../schema/email-events.ts'
import { email, excludeEmail, recordEmail, removeEmail } from '../../src/emails/email.ts'
import { fold } from '../../src/platform/runner.ts'
import { email as mail } from '../projections/mail.ts'
import { given, rules, subject } from '../support/given.ts'

const { EmailReceived, EmailSent, EmailRemoved, EmailPartiesMasked } = emailEvents
const content = { ...mail('a mail'), emailId: subject }
const received = EmailReceived(content)
const sent = EmailSent(content)
const removed = EmailRemoved({ emailId: subject, reason: 'removed' })
const record = { sent: false, again: true, email: content }

t.test('storing a mail', async (t) => {
  const rule = rules(t)
  rule('a mail that is not known is received', () => given().when(recordEmail, record).then(received))
  rule('one of our own is sent', () =>
    given()
      .when(recordEmail, { ...record, sent: true })
      .then(sent),
  )
  rule('the same again changes nothing', () => given(received).when(recordEmail, record).thenNothing())
  rule('nor does it when it turns out to be our own', () =>
    given(received)
      .when(recordEmail, { ...record, sent: true })
      .thenNothing(),
  )
  rule('a sent one stays one', () => given(sent).when(recordEmail, record).thenNothing())
  rule('a removed one comes back when it is asked for again', () => given(received, removed).when(recordEmail, record).then(received))
  rule('and stays away otherwise', () =>
    given(received, removed)
      .when(recordEmail, { ...record, again: false })
      .thenNothing(),
  )
  rule('one that came back is known', () => given(received, removed, received).when(recordEmail, record).thenNothing())
})

t.test('removing a mail', async (t) => {
  const rule = rules(t)
  rule('a stored one is removed', () => given(received).when(removeEmail, {}).then(removed))
  rule('a sent one too', () => given(sent).when(removeEmail, {}).then(removed))
  rule('again changes nothing', () => given(received, removed).when(removeEmail, {}).thenNothing())
  rule('one that came back is removed again', () => given(received, removed, sent).when(removeEmail, {}).then(removed))
  rule('an unknown one is not found', () => given().when(removeEmail, {}).refused('email-not-found', 404))
})

t.test('what a rule keeps out', async (t) => {
  const rule = rules(t)
  const excluded = EmailRemoved({ emailId: subject, reason: 'excluded' })
  rule('it is taken away', () => given(received).when(excludeEmail, {}).then(excluded))
  rule('again changes nothing', () => given(received, excluded).when(excludeEmail, {}).thenNothing())
  rule('what is not there, or was removed, stays as it is', () => {
    given().when(excludeEmail, {}).thenNothing()
    given(received, removed).when(excludeEmail, {}).thenNothing()
  })
  rule('it comes back when a mailbox brings it again, unlike what a person removed', () => {
    const brought = { ...record, again: false }
    given(received, excluded).when(recordEmail, brought).then(received)
    given(received, removed).when(recordEmail, brought).thenNothing()
  })
})

t.test('the state', async (t) => {
  const rule = rules(t)
  const states = {
    EmailReceived: { status: 'stored' },
    EmailSent: { status: 'stored' },
    EmailRemoved: { status: 'removed', reason: 'removed' },
    EmailPartiesMasked: { status: 'unknown' },
  }
  const { text: _, textOwn: __, html: ___, raw: ____, ...parties } = content
  const masked = EmailPartiesMasked({ ...parties, sent: false, at: '2026-03-01T09:30:00.000Z' })
  const samples = { EmailReceived: received, EmailSent: sent, EmailRemoved: removed, EmailPartiesMasked: masked }
  rule('every event of a mail has a sample here', () => deepStrictEqual(Object.keys(samples), Object.keys(emailEvents)))
  for (const [type, event] of Object.entries(samples))
    rule(`after ${type}`, () => deepStrictEqual(fold(email, [event]), states[type as keyof typeof states]))
})
