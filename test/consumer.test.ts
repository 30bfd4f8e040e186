/**
 * The package's export `smartcrm/consumer`, as one has it who installs the packed package: built, with types, in plain JavaScript; and what is seen
 * without it.
 */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { openConsumer } from '../src/consumer.ts'
import { createContact, updateContact } from '../src/contacts/contact.ts'
import { hashOf } from '../src/platform/codec.ts'
import { sql } from '../src/platform/database.ts'
import { startNode, until } from './support/processes.ts'
import { recordingLog } from './support/recording-log.ts'
import { request, testServices } from './support/services.ts'

/** Without what tap puts into the environment, which the compiler does not bear. */
const run = (program: string, args: string[], options: { cwd?: string } = {}) =>
  promisify(execFile)('env', ['-u', 'NODE_OPTIONS', program, ...args], options)
const root = join(import.meta.dirname, '..')
t.setTimeout(180_000)

/** A log with contacts in it, and what a consumer is told of it. */
async function contactLog(t: Test) {
  const { open, config } = await testServices(t)
  const services = await open()
  const masterKey = await readFile(join(config.dataFolder, 'master.key'), 'utf8')
  /** Of those that were created, in order. */
  const created: string[] = []
  const create = async (name: string) => {
    const { id } = await services.runner.execute(createContact, { name }, {}, request())
    created.push(`${id} ${name}`)
    return id
  }
  return { ...services, eventStoreUrl: config.eventStoreUrl, keys: { databaseUrl: config.databaseUrl, masterKey }, create, created }
}

t.test('a consumer', async (t) => {
  const { runner, store, pool, codec, eventStoreUrl, keys, create, created } = await contactLog(t)
  const { log, lines } = recordingLog<{ msg: string }>('warn')
  const consumer = await openConsumer({ eventStoreUrl, keys, log })
  const sealed = await openConsumer({ eventStoreUrl })
  t.teardown(() => Promise.all([consumer.close(), sealed.close()]))
  /** Batches until there are so many events, and then one more place. */
  const take = async (count: number, options: Parameters<typeof consumer.batches>[0] = {}, from = consumer) => {
    const events = []
    for await (const batch of from.batches(options)) {
      events.push(...batch.events)
      if (events.length >= count) return { events, position: batch.position }
    }
    throw new Error('it ended')
  }

  const id = await create('Ada')
  await runner.execute(updateContact, { name: 'Grace', company: 'Navy' }, { id }, request())

  await t.test('gets every event, unsealed, and resumes behind the position that it kept', async (t) => {
    const first = await take(1)
    t.match(first.events[0], {
      type: 'ContactCreated',
      state: 'open',
      stream: `contact-${id}`,
      revision: 0,
      data: { contactId: id, name: 'Ada' },
    })
    const all = await take(3)
    t.match(all.events, [
      { type: 'ContactCreated' },
      { type: 'ContactRenamed', data: { name: 'Grace' } },
      { type: 'ContactCompanyChanged' },
    ])
    t.strictSame((await take(2, { after: all.events[0]!.position })).events, all.events.slice(1))
    t.strictSame((await take(1, { types: ['ContactCompanyChanged'] })).events, all.events.slice(2))
    await t.rejects(take(1, { after: 'nowhere' }), { name: 'TypeError' })
  })

  await t.test('gets what is not personal, and its place, without the keys', async (t) => {
    const { events } = await take(3, {}, sealed)
    t.match(events, [{ state: 'sealed', data: { contactId: id, name: undefined, sealed: String } }, {}, {}])
    t.strictSame(
      events.map(({ position }) => position),
      (await take(3)).events.map(({ position }) => position),
    )
  })

  await t.test('ends when it is told to, also while it waits', async () => {
    const ending = new AbortController()
    const { position } = await take(3)
    let batches = 0
    const reading = (async () => {
      for await (const _ of consumer.batches({ after: position, signal: ending.signal })) batches += 1
    })()
    await create('Hedy')
    await until('a batch', () => batches > 0)
    ending.abort()
    await reading
  })

  await t.test('tells erased from away, and waits for what is away', async (t) => {
    const { position } = await take(created.length + 2)
    const [gone, away] = [await create('Gone'), await create('Away')]
    const keyOf = async (id: string) => ((await store.readStream(`contact-${id}`))[0]!.metadata as { key: string }).key
    await pool.rows(sql.unsafe`update vault.keys set wrapped = null, destroyed_at = now() where id = ${await keyOf(gone)}`)
    const awayKey = await keyOf(away)
    const [row] = await pool.rows<{ master_key: string; wrapped: Buffer }>(
      sql.unsafe`delete from vault.keys where id = ${awayKey} returning *`,
    )
    const taking = take(2, { after: position })
    await until('it says that it waits', () => lines.some(({ msg }) => /keys cannot be had now/.test(msg)))
    await pool.rows(
      sql.unsafe`insert into vault.keys (id, master_key, wrapped) values (${awayKey}, ${row!.master_key}, ${sql.binary(row!.wrapped)})`,
    )
    t.match((await taking).events, [
      { state: 'erased', data: { contactId: gone, name: undefined } },
      { state: 'open', data: { name: 'Away' } },
    ])
  })

  await t.test('skips what is not ours, and what it does not know; goes over nothing that is corrupt', async (t) => {
    const { position } = await take(created.length + 2)
    const cause = { at: new Date().toISOString(), actor: 'key:test', commandId: '', request: '', $correlationId: '', $causationId: '' }
    const write = async (stream: string, change: (event: object) => object) => {
      const [event] = await codec.encode(
        [{ type: 'ContactArchived', data: { contactId: id } }],
        stream,
        { revision: -1, hash: null, key: null },
        cause,
      )
      await store.append(stream, -1, [change(event!) as typeof event & object])
    }
    await write('other-1', (event) => ({ ...event, type: 'OrderPlaced', metadata: { theirs: true } }))
    await write('contact-newer', (event) => {
      const { metadata, ...newer } = { ...event, type: 'ContactPraised' } as never as {
        metadata: { hash: string }
        id: string
        type: string
        data: object
      }
      const { hash: _, ...others } = metadata
      return { ...newer, metadata: { ...others, hash: hashOf({ ...newer, stream: 'contact-newer', revision: 0 }, others as never) } }
    })
    await create('Marie')
    for (const one of [consumer, sealed]) t.match((await take(1, { after: position }, one)).events, [{ type: 'ContactCreated' }])
    t.ok(lines.some(({ msg }) => /does not know it/.test(msg)))
    await write('contact-spoiled', (event) => ({ ...event, type: 'ContactRestored' }))
    for (const one of [consumer, sealed])
      await t.rejects(take(9, { after: position }, one), { name: 'Corrupt', message: /Event 0 of contact-spoiled/ })
  })
})

t.test('the packed package', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-consumer-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root })
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[\n')))
  t.ok(files.every(({ path }: { path: string }) => /^(dist|package\.json|README\.md|LICENSE|src\/smartcrm\.js)/.test(path)))
  const installed = join(folder, 'node_modules', 'smartcrm')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1'])
  // As npm would have installed its dependencies.
  await symlink(join(root, 'node_modules'), join(installed, 'node_modules'))
  await symlink(join(root, 'node_modules', '@eventstore'), join(folder, 'node_modules', '@eventstore'))
  await mkdir(join(folder, 'node_modules', '@types'))
  await symlink(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  for (const name of ['consumer', 'sealed']) await copyFile(join(root, `test/examples/${name}.mjs`), join(folder, `${name}.mjs`))

  const { eventStoreUrl, keys, create, created } = await contactLog(t)
  const env = { ...process.env, EVENTSTORE_URL: eventStoreUrl, DATABASE_URL: keys.databaseUrl, SMARTCRM_MASTER_KEY: keys.masterKey }
  const start = (name: string) => startNode(t, [join(folder, `${name}.mjs`)], { cwd: folder, env })
  const text = () => readFile(join(folder, 'contacts.txt'), 'utf8').catch(() => '')
  const expected = () => created.map((one) => `${one}\n`).join('')
  for (const name of ['Ada', 'Grace', 'Hedy']) await create(name)

  await t.test('its example gets each contact once, killed and stopped in between', async (t) => {
    const first = start('consumer')
    await until('the first', async () => (await text()) === expected())
    first.child.kill('SIGKILL')
    await first.ended
    for (const name of ['Marie', 'Emmy']) await create(name)
    const second = start('consumer')
    await until('the next', async () => (await text()) === expected())
    second.child.kill('SIGTERM')
    t.equal(await second.ended, 0, second.lines.join('\n'))
    await create('Rosalind')
    const third = start('consumer')
    await until('the last', async () => (await text()) === expected())
    third.child.kill('SIGTERM')
    t.equal(await third.ended, 0)
    t.strictSame(third.lines, [])
  })

  await t.test('its types tell events and states apart', async (t) => {
    await copyFile(join(folder, 'consumer.mjs'), join(folder, 'right.ts'))
    await writeFile(
      join(folder, 'wrong.ts'),
      `import type { Consumer } from 'smartcrm/consumer'
export async function wrong(consumer: Consumer) {
  for await (const { events } of consumer.batches())
    for (const event of events) {
      if (event.type === 'ContactCreted') continue
      if (event.type === 'ContactRenamed' && event.state === 'open') event.data.name.toFixed()
      if (event.type === 'ContactRenamed' && event.state === 'erased') event.data.name.trim()
    }
}
`,
    )
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'esnext',
      '--types',
      'node',
      '--pretty',
      'false',
    ]
    const { stdout } = await run(join(root, 'node_modules/.bin/tsc'), [...options, 'right.ts', 'wrong.ts'], { cwd: folder }).catch(
      (error) => error,
    )
    const faults = [...stdout.matchAll(/^([\w.]+)\(\d+,\d+\): error (TS\d+)/gm)].map(([, file, code]) => `${file} ${code}`)
    // No such type of event; a method that texts have not; a field that may be gone.
    t.strictSame(faults, ['wrong.ts TS2367', 'wrong.ts TS2551', 'wrong.ts TS18048'])
  })

  await t.test('without it, the official client shows sealed events', async (t) => {
    const seen = start('sealed')
    await until('all', () => seen.lines.filter((line) => line.includes('"ContactCreated"')).length === created.length)
    seen.child.kill('SIGTERM')
    const events = seen.lines.map((line) => JSON.parse(line))
    t.strictSame(
      events.map(({ open }) => open.contactId),
      created.map((one) => one.slice(0, 36)),
    )
    for (const event of events)
      t.match(event, { type: 'ContactCreated', actor: 'key:test', open: { name: undefined }, sealed: /^[\w+/=]{40,}$/ })
    t.notMatch(seen.lines.join(), /Ada|Grace|Hedy/)
  })

  await t.test('has a command that says what it is not', async (t) => {
    const service = startNode(t, [join(installed, 'src', 'smartcrm.js'), 'start'], { cwd: folder })
    t.equal(await service.ended, 1)
    t.match(service.lines, [/holds smartcrm\/consumer alone/])
  })
})
