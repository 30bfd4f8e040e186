import { randomUUID } from 'node:crypto'
import t from 'tap'
import { contacts } from '../projections/contacts.ts'
import { emails } from '../projections/emails.ts'
import { projections } from '../projections/index.ts'
import { timeline } from '../projections/timeline.ts'
import { contactEvents } from '../schema/contact-events.ts'
import type { NewEvent } from '../schema/define.ts'
import { openPool, sql } from '../src/platform/database.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import { createLogger } from '../src/platform/log.ts'
import { formatPosition } from '../src/platform/position.ts'
import { testDatabase } from './support/postgres.ts'
import { project, recorded } from './support/projections.ts'
import { createFaults } from './support/soak/faults.ts'
import type { Sent } from './support/soak/load.ts'
import { checkCommands, checkJournal, checkOwners, checkStreams } from './support/soak/log-checks.ts'
import { soak } from './support/soak/soak.ts'
import { tablesEqualLog } from './support/tables-equal-log.ts'

t.setTimeout(300_000)

t.test(
  'ten random blows to the processes of the service lose nothing, double nothing, and leave the tables equal to the log',
  async (t) => {
    const { faults, figures } = await soak({
      seed: Math.floor(Math.random() * 2 ** 31),
      rate: 30,
      mix: { weights: { kill: 6, stop: 1, cut: 3, freeze: 2 }, lastsMs: [500, 2_000], pauseMs: [200, 1_200] },
      extent: { rounds: 10 },
      processes: { apis: 2, projectors: 2, workers: 1 },
      healSeconds: 120,
      importEveryMs: 3_000,
      say: (line) => t.comment(line),
    })
    t.strictSame(faults, [])
    t.ok(Number(figures['acknowledged']) > 10 && Number(figures['events']) > 50, JSON.stringify(figures))
  },
)

const { ContactCreated, ContactRenamed, ContactMethodAdded, ContactMethodRemoved } = contactEvents
const [ada, grace] = [randomUUID(), randomUUID()]
const email = (id: string) => ({ id, type: 'email' as const, value: 'ada@example.com', normalized: 'ada@example.com' })
const created = (contactId: string, ...methods: string[]) => ContactCreated({ contactId, name: 'Ada', methods: methods.map(email) })

/** A log in which each stream is whole. @param given the events, and by which command each was made */
function logOf(...given: [event: NewEvent, correlationId: string][]): RecordedEvent[] {
  const heads = new Map<string, RecordedEvent>()
  return recorded(given.map(([event]) => event)).map((event, index) => {
    const stream = `contact-${(event.data as { contactId: string }).contactId}`
    const head = heads.get(stream)
    const meta = { ...event.meta, $correlationId: given[index]![1], prev: head?.meta.hash ?? null }
    const whole = { ...event, stream, revision: head ? head.revision + 1 : 0, meta }
    heads.set(stream, whole)
    return whole
  })
}

t.test('the checks find what is wrong', async (t) => {
  const found = (check: (faults: ReturnType<typeof createFaults>) => void) => {
    const faults = createFaults()
    check(faults)
    return faults.lines().join('\n')
  }
  const rename = ContactRenamed({ contactId: ada, name: 'Ada King' })
  const sound = logOf([created(ada), 'one'], [rename, 'two'])
  const sent = (kind: string, correlationId: string, status: number, types: string[], event?: RecordedEvent): Sent => ({
    kind,
    method: 'POST',
    path: '/contacts',
    headers: {},
    correlationId,
    answer: { status, text: '', etag: event ? `"${event.revision}.x"` : null, position: event ? formatPosition(event.position) : null },
    made: status < 300 ? new Map([[ada, types]]) : null,
    tries: 1,
  })
  const all = [sent('create', 'one', 201, ['ContactCreated'], sound[0]), sent('rename', 'two', 200, ['ContactRenamed'], sound[1])]
  const commands = (events: RecordedEvent[], of: Sent[] = all) => found((faults) => checkCommands(events, of, new Set(), faults))
  const streams = (events: RecordedEvent[]) => found((faults) => checkStreams(events, faults))

  t.equal(commands(sound), '')
  t.match(commands(sound.slice(0, 1)), /a false success, or a loss \(1 times\)/)
  t.match(commands(logOf([created(ada), 'one'], [rename, 'two'], [rename, 'two'])), /a double \(1 times\)/)
  t.match(commands(sound, [all[0]!, sent('rename', 'two', 409, [])]), /a refused command that left a trace/)
  t.match(
    commands(sound, [all[0]!, sent('rename', 'two', 200, ['ContactRenamed'], sound[0])]),
    /a position that is not.*an ETag that is not/s,
  )
  t.match(commands(logOf([created(ada), 'one'], [rename, 'two'], [rename, 'three'])), '')
  const foreign = logOf([created(ada), 'one'], [rename, 'two'], [rename, 'three']).map((event) => ({
    ...event,
    meta: { ...event.meta, actor: 'key:admin' },
  }))
  t.match(commands(foreign), /events that nobody asked for/)

  t.equal(streams(sound), '')
  t.match(streams(sound.slice(1)), /a stream with a gap/)
  t.match(streams([...sound, sound[1]!]), /a double event.*a log out of order/s)
  t.match(streams([sound[0]!, { ...sound[1]!, meta: { ...sound[1]!.meta, prev: 'another' } }]), /a broken chain/)

  const [one, two] = [randomUUID(), randomUUID()]
  const moved: [NewEvent, string][] = [
    [created(ada, one), '1'],
    [ContactMethodRemoved({ contactId: ada, methodId: one }), '2'],
    [created(grace), '3'],
    [ContactMethodAdded({ contactId: grace, method: email(two) }), '4'],
  ]
  t.equal(
    found((faults) => checkOwners(logOf(...moved), faults)),
    '',
  )
  t.match(
    found((faults) => checkOwners(logOf(moved[0]!, moved[2]!, moved[3]!), faults)),
    /an address with two owners/,
  )

  const positions = sound.map(({ position }) => formatPosition(position))
  t.equal(
    found((faults) => checkJournal('API', sound, positions, faults)),
    '',
  )
  for (const wrong of [positions.slice(1), [...positions, positions[1]!], positions.toReversed()])
    t.match(
      found((faults) => checkJournal('API', sound, wrong, faults)),
      /a live journal that is not the log/,
    )
})

t.test('tables that are not what the log says are told by row and column', async (t) => {
  const log = createLogger('error', 'test')
  const events = logOf(
    [created(ada, randomUUID()), '1'],
    [ContactRenamed({ contactId: ada, name: 'Ada King' }), '2'],
    [created(grace), '3'],
  )
  const live = openPool((await testDatabase(t)).url, log, 2)
  t.teardown(() => live.close())
  await project(live, projections, events, log)
  const compare = async () => {
    const scratch = openPool((await testDatabase(t)).url, log, 2)
    t.teardown(() => scratch.close())
    return tablesEqualLog({ live, scratch, projections, events, log })
  }
  const { rows, differences } = await compare()
  t.strictSame(differences, [])
  const [contactRows, statistics] = [contacts.tables.contacts, emails.tables.mailStatistics]
  t.strictSame([rows[contactRows.name], rows[statistics.name]], [2, 2])

  await live.rows(sql.unsafe`update ${contactRows.sql} set name = 'Ada' where contact_id = ${ada}`)
  await live.rows(sql.unsafe`delete from ${timeline.tables.timeline.sql} where contact_id = ${grace}`)
  await live.rows(sql.unsafe`update ${statistics.sql} set emails_sent = 1 where contact_id = ${grace}`)
  await live.rows(sql.unsafe`insert into ${emails.tables.contactStates.sql} (contact_id, archived) values (${randomUUID()}, false)`)
  const wrong = (await compare()).differences
  t.match(wrong, [
    /^contacts_v\d+, held to a fresh fold of the log: has another .*: name is "Ada", not "Ada King"$/,
    /^contacts_v\d+, held to one event at a time in memory: has another/,
    /^timeline_v\d+, held to a fresh fold of the log: lacks/,
    /^timeline_v\d+, held to one event at a time in memory: lacks/,
    /^contact_states_v\d+, held to a fresh fold of the log: has .*, which should not be there$/,
    /^contact_states_v\d+, held to one event at a time in memory: has/,
    /^mail_statistics_v\d+, held to a fresh fold of the log: has another .*: emailsSent is 1, not 0$/,
  ])
  t.equal(wrong.length, 7)
})
