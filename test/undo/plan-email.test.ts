import { deepStrictEqual } from 'node:assert/strict'
import t from 'tap'
import type { NewEvent } from '../../schema/define.ts'
import { type EmailEvent, emailEvents } from '../../schema/email-events.ts'
import { allEvents } from '../../schema/events.ts'
import { planEmail } from '../../src/undo/plan-email.ts'
import { isReason, toldTypes, wordOf } from '../../src/undo/words.ts'
import { id, rules } from '../support/given.ts'
import { recorded } from '../support/projections.ts'

const { EmailReceived, EmailSent, EmailRemoved } = emailEvents
const emailId = id(100)
const blob = { sha256: '0'.repeat(64), sizeBytes: 1 }
const content = {
  emailId,
  source: `import:${id(1)}`,
  defects: [],
  from: [],
  replyTo: [],
  to: [],
  cc: [],
  bcc: [],
  subject: 'Hello',
  text: '',
  textOwn: '',
  html: null,
  raw: blob,
  date: null,
  dateHeader: null,
  dateReceived: null,
  inReplyTo: [],
  references: [],
  attachments: [],
  headers: {},
}
const [received, sent] = [EmailReceived(content), EmailSent({ ...content, subject: 'Bye' })]
const removed = EmailRemoved({ emailId, reason: 'removed' })
const excluded = EmailRemoved({ emailId, reason: 'excluded' })
const plan = (events: readonly NewEvent[], ...undone: number[]) =>
  planEmail(emailId, recorded(events), ({ revision }) => undone.includes(revision))

t.test('a mail', async (t) => {
  const rule = rules(t)
  const book: Record<Exclude<EmailEvent['type'], 'EmailPartiesMasked'>, [before: NewEvent[], event: NewEvent, undoneBy: NewEvent]> = {
    EmailReceived: [[], received, EmailRemoved({ emailId, reason: 'undone' })],
    EmailSent: [[received, excluded], sent, excluded],
    EmailRemoved: [[received, removed, sent], removed, sent],
  }
  for (const [type, [before, event, undoneBy]] of Object.entries(book))
    rule(`${type} is undone`, () => {
      deepStrictEqual(plan([...before, event], before.length).events, [undoneBy])
      deepStrictEqual(plan([...before, event, undoneBy], before.length).events, [], 'once')
    })
  rule('one that somebody took away since stays away, and one that came back stays', () => {
    deepStrictEqual(plan([received, removed], 0), { putBack: [], conflicts: [], events: [], merges: [] })
    deepStrictEqual(plan([received, removed, received], 1).events, [])
  })
  rule('of an erased one nothing is brought back', () => {
    const events = recorded([received, removed]).map((event) => ({ ...event, erased: true }))
    deepStrictEqual(planEmail(emailId, events, ({ revision }) => revision === 1).conflicts[0]!.code, 'erased')
  })
})

t.test('of every event it is said what an undo makes of it', async (t) => {
  for (const type of Object.keys(allEvents)) {
    const word = wordOf(type)
    t.ok(word === 'fields' || word === 'record' || isReason(word), `${type}: ${word}`)
  }
  t.notOk(toldTypes(false).includes('ImportStarted'), 'by correlation id it is in there itself')
  t.ok(toldTypes(true).includes('ImportStarted'))
})
