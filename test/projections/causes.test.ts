import t from 'tap'
import { audit } from '../../projections/audit.ts'
import { causeQueries } from '../../projections/causes.ts'
import { imports } from '../../projections/imports.ts'
import { mailboxMessages } from '../../projections/mailbox-messages.ts'
import { countStreams, streamsOf } from '../../projections/undo-scope.ts'
import type { Causes } from '../../schema/causes.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { UndoCursor } from '../../schema/undo-events.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { toldTypes } from '../../src/undo/words.ts'
import { id } from '../support/given.ts'
import { recorded } from '../support/projections.ts'
import { readTables } from './support.ts'

const { ContactRenamed, ContactArchived } = contactEvents
const [getEventCauses] = causeQueries
const MANY = 1_200
const tables = await readTables(t, [audit, imports, mailboxMessages])
const correlationId = id(5)
const streamOf = (number: number) => `contact-${id(10_000 + number)}`

/** One event that all others follow from: two of each contact, all renamed first and then archived. */
const events = recorded([
  ContactArchived({ contactId: id(1) }),
  ...Array.from({ length: MANY }, (_, number) => ContactRenamed({ contactId: id(10_000 + number), name: 'x' })),
  ...Array.from({ length: MANY }, (_, number) => ContactArchived({ contactId: id(10_000 + number) })),
]).map((event, index): RecordedEvent => {
  const isFirst = index === 0
  const meta = { ...event.meta, commandId: id(50_000 + index), $correlationId: correlationId, $causationId: isFirst ? id(50_000) : id(1) }
  return { ...event, stream: isFirst ? `contact-${id(1)}` : streamOf((index - 1) % MANY), meta }
})
await tables.project(events)

t.test('of very many consequences the first are shown, and that there are more', async (t) => {
  const { consequences, truncated } = await tables.ask<(typeof Causes)['static']>(getEventCauses!, {}, { id: id(1) })
  t.equal(consequences.length, 1_000)
  t.equal(truncated, true)
  t.strictSame(
    consequences.map(({ eventId }) => eventId),
    events.slice(1, 1_001).map((event) => event.id),
  )
  const last = await tables.ask<(typeof Causes)['static']>(getEventCauses!, {}, { id: events.at(-1)!.id })
  t.match(last, { causes: [{ eventId: id(1), causedBy: null }], event: { causedBy: id(1) }, consequences: [], truncated: false })
})

t.test('what is undone is found page by page: each stream once, the last written to first, and nothing that came later', async (t) => {
  const before = events.at(-100)!.position
  const of = { correlationId, before }
  const found: string[] = []
  for (let after: UndoCursor | null = null; ; ) {
    const page = await streamsOf(tables.pool, of, toldTypes(false), after, 500)
    found.push(...page.map(({ stream }) => stream))
    if (page.length < 500) break
    after = page.at(-1)!.cursor
  }
  const expected = [
    ...new Set(
      events
        .slice(0, -100)
        .map(({ stream }) => stream)
        .toReversed(),
    ),
  ]
  t.strictSame(found, expected)
  t.equal(await countStreams(tables.pool, of, toldTypes(false)), expected.length)
  t.match(await streamsOf(tables.pool, { commandId: id(50_000), before }, ['ContactArchived'], null, 10), [{ stream: `contact-${id(1)}` }])
})
