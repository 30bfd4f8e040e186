import fc from 'fast-check'
import t from 'tap'
import { emails } from '../../projections/emails.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import type { Row } from '../../src/platform/projection.ts'
import { inOrder, storedRows } from '../support/projections.ts'
import { statisticsOf, threadsOf, type World, worldAfter } from './emails-model.ts'
import { received, removed, sent } from './mail.ts'
import { idOf, readTables, recorded } from './support.ts'

const { ContactCreated, ContactMethodAdded, ContactMethodRemoved, ContactArchived, ContactRestored } = contactEvents
const { threads, threadMembers, mailStatistics } = emails.tables

const runs = Number(process.env['RUNS'] ?? 50)
t.setTimeout(120_000 + runs * 500)

const oneOf = <T>(...values: T[]) => fc.constantFrom(...values)
const some = <T>(arbitrary: fc.Arbitrary<T>, maxLength = 2) => fc.array(arbitrary, { maxLength })
const address = oneOf('a@x.example', 'b@x.example', 'c@x.example', 'd@x.example')
const own = oneOf('me@own.example', 'we@own.example')
const messageId = oneOf('<1@m>', '1@M', '<2@m>', '<3@m>', '<4@m>', '<5@m>', '<>')
const names = Array.from({ length: 9 }, (_, n) => `mail ${n}`)
const date = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 0, max: 12 }).map((n) => new Date(Date.UTC(2026, 0, 1 + n * 9)).toISOString()) },
  fc.constant(null),
)
const subject = oneOf('Plans', 'Re: Plans', 're: plans', 'AW: Plans', 'Lunch', 'Re: Lunch', '', 'Re:')
/** Mostly nothing, so that threads stay small enough for something to change. */
const rarely = (ids: fc.Arbitrary<string[]>) => fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, ids)
const shared = {
  subject,
  date,
  messageId: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, messageId),
  references: rarely(some(messageId)),
  inReplyTo: rarely(some(messageId, 1)),
  providerThreadId: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, oneOf('p', 'q')),
  source: oneOf('mailbox:1', 'mailbox:2'),
  cc: some(address),
  bcc: some(address, 1),
}
const everybody = fc.oneof(address, own)
const incoming = fc.record({ ...shared, from: some(address, 1), replyTo: some(address, 1), to: some(everybody) })
const outgoing = fc.record({ ...shared, from: own, to: some(everybody), replyTo: some(everybody, 1) })
const given = <G extends { messageId?: string; providerThreadId?: string }>({ messageId, providerThreadId, ...rest }: G) => ({
  ...rest,
  messageId: messageId ?? '',
  ...(providerThreadId && { providerThreadId }),
})
const mail = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(oneOf(...names), incoming).map(([name, mail]) => received(name, given(mail) as never)) },
  { weight: 2, arbitrary: fc.tuple(oneOf(...names), outgoing).map(([name, mail]) => sent(name, given(mail) as never)) },
)
const method = (value: string) => ({ id: idOf(value), type: 'email' as const, value, normalized: value })
const contactId = oneOf('ada', 'bob', 'cyd').map(idOf)
const contactChange = fc.oneof(
  fc.record({ contactId, method: address.map(method) }).map(ContactMethodAdded),
  fc.record({ contactId, methodId: address.map(idOf) }).map(ContactMethodRemoved),
  fc.record({ contactId }).map(ContactArchived),
  fc.record({ contactId }).map(ContactRestored),
)
const event: fc.Arbitrary<NewEvent> = fc.oneof(
  { weight: 6, arbitrary: mail },
  { weight: 1, arbitrary: oneOf(...names).map(removed) },
  { weight: 2, arbitrary: contactChange },
)
const people = ['ada', 'bob', 'cyd'].map((name, n) =>
  ContactCreated({ contactId: idOf(name), name, methods: n < 2 ? [method(`${name[0]}@x.example`)] : [] }),
)
const history = fc.record({ before: some(event, 8), after: some(event, 16), cuts: some(fc.integer({ min: 1, max: 9 }), 12) })

const tables = await readTables(t, [emails])
const { pool } = tables

async function fits(world: World) {
  const threadOf = threadsOf(world)
  const rows = async (table: Parameters<typeof storedRows>[1]) => inOrder(await storedRows(pool, table), table)
  const members = (await rows(threadMembers)).map(({ emailId, threadId }) => ({ emailId, threadId }))
  same(
    'members',
    members,
    inOrder(
      [...threadOf].map(([emailId, threadId]) => ({ emailId, threadId })),
      threadMembers,
    ),
  )
  const sizes = (await rows(threads)).map(({ threadId, emails }) => ({ threadId, emails }))
  const grouped = Map.groupBy(threadOf, ([, threadId]) => threadId)
  same(
    'threads',
    sizes,
    inOrder(
      [...grouped].map(([threadId, { length }]) => ({ threadId, emails: length })),
      threads,
    ),
  )
  same('statistics', await rows(mailStatistics), inOrder(statisticsOf(world) as Row[], mailStatistics))
}

function same(what: string, stored: unknown, expected: unknown) {
  if (JSON.stringify(stored) !== JSON.stringify(expected)) {
    throw new Error(`${what}: stored ${JSON.stringify(stored)}, expected ${JSON.stringify(expected)}`)
  }
}

t.test('after any history, cut into any batches, threads and statistics are what the mails and addresses that are there say', async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ before, after, cuts }) => {
      await tables.empty()
      const events = [...before.filter(({ type }) => type.startsWith('Email')), ...people, ...after]
      const all = recorded(...events)
      for (let from = 0, n = 0; from < all.length; n += 1) {
        const to = from + (cuts[n] ?? 1)
        await tables.project(all.slice(from, to))
        from = to
        await fits(worldAfter(events.slice(0, to)))
      }
    }),
    { numRuns: runs },
  )
})

/** Nothing but subjects to go by, so that replies are joined, and joined to others when mails come between or go away. */
const bare = { subject: oneOf('Plans', 'Re: Plans'), date, from: oneOf('a@x.example', 'b@x.example') }
const bareMail = fc
  .tuple(oneOf(...names), fc.record(bare))
  .map(([name, mail]) => received(name, { ...mail, to: [], messageId: `<${name}>` }))
const bareEvent = fc.oneof({ weight: 6, arbitrary: bareMail }, { weight: 1, arbitrary: oneOf(...names).map(removed) })

t.test('replies that name no other mail follow their subject, whatever comes between or is taken away', async () => {
  await fc.assert(
    fc.asyncProperty(some(bareEvent, 14), fc.integer({ min: 1, max: 4 }), async (events, size) => {
      await tables.empty()
      const all = recorded(...events)
      for (let from = 0; from < all.length; from += size) {
        await tables.project(all.slice(from, from + size))
        await fits(worldAfter(events.slice(0, from + size)))
      }
    }),
    { numRuns: runs },
  )
})

t.test('made from nothing in one pass they are the same', async () => {
  await fc.assert(
    fc.asyncProperty(some(fc.oneof(event, bareEvent), 40), async (events) => {
      await tables.empty()
      await tables.project(recorded(...people, ...events))
      await tables.makeAnew(emails)
    }),
    { numRuns: runs / 2 },
  )
})

t.test('the order in which mails arrive makes no difference', async () => {
  const mails = fc.uniqueArray(fc.oneof(mail, bareMail), { maxLength: 9, selector: ({ data }) => data.emailId })
  const orders = mails.chain((events) => fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length })))
  await fc.assert(
    fc.asyncProperty(orders, async (orders) => {
      const ends = []
      for (const events of orders) {
        await tables.empty()
        for (const event of recorded(...events)) await tables.project([event])
        const rows = inOrder(await storedRows(pool, threadMembers), threadMembers)
        ends.push(rows.map(({ emailId, threadId }) => [emailId, threadId]))
      }
      same('the other order', ends[1], ends[0])
    }),
    { numRuns: runs / 2 },
  )
})
