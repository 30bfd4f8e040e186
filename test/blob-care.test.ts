import { createHash, randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { allBlobReferences, blobReferences } from '../projections/blob-references.ts'
import { projections } from '../projections/index.ts'
import { startSweeping, sweepBlobs, verifyReferenced } from '../src/blob-care.ts'
import { removeEmail } from '../src/emails/email.ts'
import { startImport } from '../src/import/import.ts'
import { sql } from '../src/platform/database.ts'
import { createLogger } from '../src/platform/log.ts'
import { START } from '../src/platform/position.ts'
import { askComplete } from '../src/platform/projections/answers.ts'
import { pause, resume } from '../src/platform/projections/states.ts'
import { run as runProjector } from '../src/roles/projector.ts'
import { filesIn } from './support/blobs.ts'
import { startProgram } from './support/programs.ts'
import { recordingLog } from './support/recording-log.ts'
import { testServices } from './support/services.ts'

const main = join(import.meta.dirname, '../src/main.ts')
const log = createLogger('silent', 'test')
const DAY_MS = 24 * 60 * 60_000
const tomorrow = () => new Date(Date.now() + DAY_MS + 60_000)
const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

t.setTimeout(120_000)
const { open, config } = await testServices(t)
const services = await open()
const { blobs, vault, pool, ingest, runner } = services
let projector = await runProjector(config, log)
t.teardown(() => projector.close())
const patienceMs = 20_000

const mail = (subject: string) =>
  Buffer.from(
    [
      'From: Ada <ada@example.com>',
      'To: me@own.example',
      `Subject: ${subject}`,
      `Message-ID: <${subject}@mail.example>`,
      'Date: Mon, 5 Jan 2026 10:00:00 +0000',
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: text/html',
      '',
      `<p>${subject}</p>`,
      '--b',
      'Content-Type: application/pdf; name="a.pdf"',
      'Content-Disposition: attachment; filename="a.pdf"',
      '',
      `what is attached to ${subject}`,
      '--b--',
      '',
    ].join('\r\n'),
  )
const cause = () => ({ actor: 'key:test', commandId: randomUUID(), request: '', correlationId: randomUUID() })
async function storeMail(subject: string) {
  const about = { source: 'import:test', ownAddresses: new Set<string>(), isKept: false, again: true }
  const ingested = await ingest(mail(subject), { ...about, cause: cause() })
  if (ingested.outcome === 'failed') throw new Error(ingested.reason)
  const [event] = await runner.load(`email-${ingested.emailId}`)
  return { emailId: ingested.emailId, keyId: event!.meta.key! }
}
const stored = async (keyId: string) => (await Array.fromAsync(blobs.list(keyId))).length

async function orphan() {
  const key = await vault.claim()
  await blobs.put(key, Buffer.from('nobody refers to this'))
  return key.id
}
async function startCsv() {
  const key = await vault.claim()
  const content = Buffer.from('Name\nAda\n')
  const upload = await blobs.put(key, content)
  const body = { kind: 'csv' as const, sizeBytes: content.length, upload, ownAddresses: [], map: [] }
  const id = randomUUID()
  await runner.execute(startImport, body, { id }, { ...cause(), key })
  return { id, keyId: key.id, content }
}

t.test('what nobody refers to goes when it is a day old; what a mail or an import refers to stays', async (t) => {
  const left = await orphan()
  const kept = await storeMail('kept')
  const removed = await storeMail('removed')
  const csv = await startCsv()
  await runner.execute(removeEmail, {}, { id: removed.emailId }, cause())
  const young = await sweepBlobs(services, { patienceMs })
  t.match(young, { seen: 8, referenced: 4, young: 4, removed: 0 })
  t.match(await sweepBlobs(services, { patienceMs, now: tomorrow() }), { seen: 8, referenced: 4, young: 0, removed: 4 })
  t.equal(await stored(left), 0)
  t.equal(await stored(kept.keyId), 3, 'the mail as it came, its HTML, its attachment')
  t.equal(await stored(csv.keyId), 1)
  t.equal(await stored(removed.keyId), 0, 'a mail that was removed refers to nothing')

  t.strictSame(await storeMail('removed'), removed, 'stored again, under the key that it had')
  t.equal(await stored(removed.keyId), 3)
  t.match(await sweepBlobs(services, { patienceMs, now: tomorrow() }), { seen: 7, referenced: 7, removed: 0 })
  t.match(await verifyReferenced(services, { patienceMs }), { checked: 7, erased: 0, bad: [] })
})

t.test('nothing is swept while the tables are behind the log, do not all follow it, or lack an event', async (t) => {
  await projector.close()
  const left = await orphan()
  const { keyId } = await storeMail('not yet in the tables')
  const now = tomorrow()
  await t.rejects(sweepBlobs(services, { patienceMs: 0, now }), { name: 'Unavailable', message: /behind the log/ })
  await t.rejects(verifyReferenced(services, { patienceMs: 0 }), { name: 'Unavailable' })
  t.equal(await stored(keyId), 3)

  projector = await runProjector(config, log)
  t.match(await sweepBlobs(services, { patienceMs }), { removed: 0, young: 1 })
  const before = (await Array.fromAsync(blobs.list())).length
  // Between the first look and the first question.
  const paused = {
    ...blobs,
    async *list() {
      await pause(pool, 'emails')
      yield* blobs.list()
    },
  }
  await t.rejects(sweepBlobs({ ...services, blobs: paused }, { patienceMs: 0, now }), { name: 'Unavailable', message: /not all at work/ })
  await t.rejects(sweepBlobs(services, { patienceMs: 0, now }), { name: 'Unavailable', message: /not all at work/ })
  await resume(pool, 'emails')
  t.match(await sweepBlobs(services, { patienceMs }), { removed: 0 })
  await pool.rows(sql.unsafe`
    insert into smartcrm.parked_events (projection, place, stream, revision, event_id, type, commit_position, prepare_position)
    values ('emails', 'read', 'email-x', 0, gen_random_uuid(), 'EmailReceived', 1, 1)`)
  await t.rejects(sweepBlobs(services, { patienceMs: 0, now }), { name: 'Unavailable', message: /replay them first/ })
  await pool.rows(sql.unsafe`delete from smartcrm.parked_events`)
  t.equal((await Array.fromAsync(blobs.list())).length, before)

  t.match(await sweepBlobs(services, { patienceMs, now }), { seen: before, removed: 1 })
  t.equal(await stored(left), 0)
})

t.test('while they are asked, no projection can be stopped or replaced', async (t) => {
  await storeMail('filled meanwhile')
  await sweepBlobs(services, { patienceMs })
  let pausing: Promise<unknown> | undefined
  await askComplete(pool, projections, START, async (db) => {
    let isPaused = false
    pausing = pause(pool, 'emails').then(() => (isPaused = true))
    const waits = sql.unsafe`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    while (!isPaused && (await pool.rows(waits)).length === 0) await delay(10)
    t.equal(isPaused, false)
    t.ok((await Array.fromAsync(allBlobReferences(db))).length > 0)
  })
  await pausing
  await resume(pool, 'emails')
  t.match(await sweepBlobs(services, { patienceMs }), { seen: 13, referenced: 13 })
})

t.test('the worker sweeps after its start and again and again, and says what came of it', async (t) => {
  const { log, lines } = recordingLog<{ msg: string; seen?: number }>()
  const sweeping = startSweeping(services, log, { firstMs: 1, everyMs: 1 })
  while (lines.filter(({ msg }) => msg === 'swept the blobs').length < 2) await delay(20)
  await sweeping.close()
  t.match(lines[0], { seen: 13, referenced: 13, removed: 0 })
})

t.test('what is damaged or missing is named with what refers to it, by a command', async (t) => {
  const run = async (
    args: string[],
    env: Record<string, string> = { DATABASE_URL: config.databaseUrl, EVENTSTORE_URL: config.eventStoreUrl },
  ) => {
    const settings = { ...env, SMARTCRM_DATA: config.dataFolder, NO_COLOR: '1' }
    const { code, stdout: out, stderr: err } = await startProgram([main, 'blobs', ...args], { env: settings, cwd: config.dataFolder }).ended
    return { code, out, err }
  }
  t.match(await run(['verify']), { code: 0, out: /^Read 13 blobs \(0\.0 MB\): all are sound\.\n$/, err: '' })

  const { emailId, keyId } = await storeMail('to be damaged')
  const csv = await startCsv()
  const files = [...(await filesIn(join(config.dataFolder, 'blobs')))]
  const [, path] = files.find(([name]) => name.startsWith(keyId))!
  const bytes = await readFile(path)
  bytes[bytes.length - 1]! ^= 1
  await writeFile(path, bytes)
  for await (const blob of blobs.list(csv.keyId)) await blobs.remove(blob)

  const { code, out } = await run(['verify', '--json'])
  t.equal(code, 1)
  const { checked, bad } = JSON.parse(out) as Awaited<ReturnType<typeof verifyReferenced>>
  t.equal(checked, 17)
  const [damaged, missing] = bad
  t.match(damaged, { of: `email ${emailId}`, keyId, what: /from byte 0 on/ })
  t.ok((await blobReferences(pool, [keyId])).some(({ sha256 }) => sha256 === damaged!.sha256))
  t.strictSame(missing, { keyId: csv.keyId, sha256: hash(csv.content), what: 'missing', of: `import ${csv.id}` })
  t.equal(bad.length, 2)

  const told = await run(['verify'])
  t.equal(told.code, 1)
  const lines = bad.map(({ of, sha256, keyId, what }) => `${of}: the blob ${sha256} of key ${keyId}: ${what}\n`)
  t.equal(told.out, `${lines.join('')}Read 17 blobs (0.0 MB): 2 missing or damaged.\n`)
  t.match(await run(['sweep']), { code: 0, out: 'Of 16 blobs, 16 are referred to, 0 are too young, 0 were removed.\n' })
  t.match(await run(['verify'], {}), { code: 2, out: '', err: /Set EVENTSTORE_URL and DATABASE_URL.*postgres\/password/ })
  t.equal((await run(['mend'])).code, 2)
})
