/**
 * A whole SmartCRM in one folder, Postgres and log too. Canaries are put everywhere that a person can leave something, the person is erased at once, and
 * every byte of every file is looked at. Then a backup from before is started, and the person is erased again.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { pino } from 'pino'
import t from 'tap'
import { readConfig } from '../src/config.ts'
import { faultOfReceipt } from '../src/erasure/verify-receipt.ts'
import { backup, restore } from '../src/eventstore/backup.ts'
import { startEventStore } from '../src/eventstore/server.ts'
import { startPostgres } from '../src/platform/embedded-postgres.ts'
import { createLogger } from '../src/platform/log.ts'
import { freePort } from '../src/platform/ports.ts'
import { run as runApi } from '../src/roles/api.ts'
import { run as runProjector } from '../src/roles/projector.ts'
import { run as runWorker } from '../src/roles/worker.ts'
import { adminKey } from './support/api.ts'
import { finished, upload } from './support/imports.ts'
import { until } from './support/processes.ts'
import { mail } from './support/sync.ts'
import { main } from './support/whole.ts'

t.setTimeout(300_000)
const ME = 'me@own.example'
const GRACE = 'Grace Hopper <grace@example.org>'

/** Everything in one folder, in this process. */
async function startAll(folder: string) {
  await mkdir(folder, { recursive: true })
  const log = createLogger('debug', 'all', pino.destination({ dest: join(folder, 'service.log'), sync: true }))
  const postgres = await startPostgres({ dir: join(folder, 'postgres'), port: await freePort(), log, settings: { fsync: 'off' } })
  const node = await startEventStore({ file: join(folder, 'eventstore', 'events.db'), log })
  const env = { SMARTCRM_DATA: folder, SMARTCRM_ADMIN_KEY: adminKey, PORT: '0', DATABASE_URL: postgres.url, EVENTSTORE_URL: node.url }
  const config = readConfig({ ...env, LOG_LEVEL: 'debug' })
  const [projector, worker, api] = await Promise.all([runProjector(config, log), runWorker(config, log), runApi(config, log)])
  const url = api.url!
  let isClosed = false
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${adminKey}`, ...(body && { 'content-type': 'application/json' }), prefer: 'wait=20' }
    const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    const said = await response.text()
    // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
    return { status: response.status, body: said === '' ? null : (JSON.parse(said) as any) }
  }
  const made = async (path: string, body: object, method = 'POST') => {
    const answer = await ask(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  return {
    url,
    ask,
    made,
    databaseUrl: postgres.url,
    eventStoreUrl: node.url,
    list: async () => (await ask('GET', '/v1/emails?limit=100')).body.data as { subject: string; from: object[]; to: object[] }[],
    async close() {
      if (isClosed) return
      isClosed = true
      for (const running of [api, worker, projector]) await running.close()
      await node.close()
      await postgres.close()
    },
  }
}

const root = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
t.teardown(() => rm(root, { recursive: true, force: true }))
// Postgres may run as another user, who has to come in.
await chmod(root, 0o711)
const folder = join(root, 'data')
const kept = join(root, 'backup')

/** Which values are where, by bytes alone: as they are, in lower case, and in base64 (of an attachment). */
async function look(values: readonly string[]): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const bytes = (await readFile(file).catch(() => Buffer.alloc(0))).toString('latin1')
    const lower = bytes.toLowerCase()
    for (const value of values) {
      if (lower.includes(value.toLowerCase()) || bytes.includes(Buffer.from(`.${value}`).toString('base64').slice(2, -4)))
        found.set(value, [...(found.get(value) ?? []), file.slice(folder.length + 1)])
    }
  }
  return found
}

const word = (name: string) => `${name}${randomUUID().replaceAll('-', '').slice(0, 12)}`
const canary = {
  name: word('Name'),
  company: word('Company'),
  address: word('address'),
  second: word('second'),
  url: word('site'),
  note: word('note'),
  title: word('title'),
  subject: word('subject'),
  text: word('text'),
  html: word('html'),
  attachment: word('attachment'),
  attachmentName: word('file'),
  sent: word('sent'),
  imported: word('imported'),
  archived: word('renamed'),
}
/** Stands in the text of a mail with somebody else, which stays. */
const inGroup = word('spoken')
const address = `${canary.address}@example.com`
const person = `${canary.name} Doe <${address}>`
const all = Object.values(canary)

const attached = (more: string) =>
  Buffer.from(
    `From: ${person}\r\nTo: Me <${ME}>\r\nSubject: ${canary.subject}\r\nDate: Mon, 2 Feb 2026 10:00:00 +0000\r\nMessage-ID: <${canary.subject}@example.com>\r\n` +
      `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n` +
      `--c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello ${canary.text}, ${more}\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>${canary.html}</b></p>\r\n--c--\r\n` +
      `--b\r\nContent-Type: application/octet-stream; name=${canary.attachmentName}.bin\r\nContent-Disposition: attachment; filename=${canary.attachmentName}.bin\r\n` +
      `Content-Transfer-Encoding: base64\r\n\r\n${Buffer.from(`… ${canary.attachment} …`).toString('base64')}\r\n--b--\r\n`,
  )
const mbox = (...mails: Buffer[]) =>
  Buffer.concat(mails.flatMap((raw) => [Buffer.from('From x@example.org Mon Feb  2 10:00:00 2026\n'), raw, Buffer.from('\n')]))

let crm = await startAll(folder)
t.teardown(() => crm.close())
const service = () => ({ url: crm.url })

const { id } = await crm.made('/v1/contacts', {
  name: `${canary.archived} Doe`,
  company: canary.company,
  methods: [
    { type: 'email', value: address, label: 'work' },
    { type: 'phone', value: '+44 20 7946 0123' },
    { type: 'url', value: `https://${canary.url}.example.com/` },
  ],
})
await crm.made(`/v1/contacts/${id}`, { name: `${canary.name} Doe` }, 'PATCH')
await crm.made(`/v1/contacts/${id}/methods`, { type: 'email', value: `${canary.second}@example.com` })
await crm.made(`/v1/contacts/${id}/notes`, { text: `Likes ${canary.note}.` })
await crm.made(`/v1/contacts/${id}/fields/jobTitle`, { values: [canary.title] }, 'PUT')
await crm.made('/v1/contacts', { name: 'Grace Hopper', methods: [{ type: 'email', value: 'grace@example.org' }] })
const cards = Buffer.from(`First Name,E-mail Address,Company\n${canary.name},${address},${canary.imported}\nBea,bea@example.org,Acme\n`)
await finished(service(), (await upload(service(), cards)).body.id)
const mails = mbox(
  attached('and more'),
  mail(`to you ${canary.sent}`, { from: `Me <${ME}>`, to: person }),
  mail('with Grace', { from: person, to: `Me <${ME}>, ${GRACE}`, more: `X: y\r\n\r\nYours, ${inGroup}` }),
  mail('of Grace alone', { from: GRACE, to: `Me <${ME}>` }),
)
await finished(service(), (await upload(service(), mails, [ME])).body.id)
await until('the mails', async () => (await crm.list()).length === 4)

// As an operator does it: the log, the blobs, then Postgres while it runs, and the master key apart.
backup(join(folder, 'eventstore', 'events.db'), join(kept, 'events.db'))
await cp(join(folder, 'blobs'), join(kept, 'blobs'), { recursive: true })
await cp(join(folder, 'master.key'), join(kept, 'master.key'))
await backUpPostgres(crm.databaseUrl, join(folder, 'postgres'), join(kept, 'postgres'))

/** https://www.postgresql.org/docs/18/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP */
async function backUpPostgres(url: string, from: string, to: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`select pg_backup_start('a backup', true)`)
    const isCopied = (file: string) => !/postmaster\.(pid|opts)$|pg_wal\/[0-9A-F]{24}$/.test(file)
    await cp(from, to, { recursive: true, filter: isCopied })
    const { rows } = await client.query('select labelfile from pg_backup_stop(false)')
    await writeFile(join(to, 'cluster', 'backup_label'), rows[0].labelfile)
    const wal = join('cluster', 'pg_wal')
    for (const name of await readdir(join(from, wal))) if (/^[0-9A-F]{24}$/.test(name)) await cp(join(from, wal, name), join(to, wal, name))
  } finally {
    await client.end()
  }
}

/** Root copies as itself, and Postgres wants its files to be its own. */
async function giveTo({ uid, gid }: { uid: number; gid: number }, path: string): Promise<void> {
  await chown(path, uid, gid)
  for (const name of await readdir(path, { recursive: true })) await chown(join(path, name), uid, gid)
}

/** `smartcrm erasures …` as a process of its own. */
async function command(dataFolder: string, ...args: string[]) {
  const { url, databaseUrl, eventStoreUrl } = crm
  const servers = { SMARTCRM_DATA: dataFolder, DATABASE_URL: databaseUrl, EVENTSTORE_URL: eventStoreUrl }
  const child = spawn(process.execPath, [main, 'erasures', ...args], {
    env: { PATH: process.env['PATH'], SMARTCRM_URL: url, SMARTCRM_KEY: adminKey, ...servers },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  return { code: code as number, stdout, stderr }
}

const erasure = async () =>
  until('the receipt', async () => {
    const { status, body } = await crm.ask('GET', `/v1/contacts/${id}/erasure`)
    return status === 200 && body
  })

t.test('what a person leaves is on the disk before, in the clear where it is searched', async (t) => {
  const there = await look([...all, inGroup])
  for (const value of [canary.name, canary.company, canary.address, canary.note, canary.subject, canary.text, inGroup])
    t.ok((there.get(value) ?? []).length > 0, value)
  t.notMatch(JSON.stringify([...there.values()]), /events\.db|service\.log|blobs/, 'but nowhere in the log, the blobs, or what is logged')
})

t.test('erased at once, nothing of it is in any byte of any file, but in the mails that the receipt names', async (t) => {
  await crm.made(`/v1/contacts/${id}/erase`, { reason: 'requested-by-person', now: true })
  const { receipt, emailIds, signature, signedBy } = await erasure()
  t.match(receipt, { contactId: id, destroyed: { contacts: 1, emails: 2 }, suppressed: 2, physical: true, stays: { emails: 1 } })
  t.strictSame(receipt.scan.found, [])
  t.ok(receipt.scan.places > 50)
  t.notMatch(receipt.stays.notes.join('\n'), /Not searched|could not/)
  t.equal(emailIds.length, 1)
  const { publicKey } = (await crm.ask('GET', '/v1/erasures/key')).body
  t.equal(faultOfReceipt({ receipt, emailIds, signature, signedBy }, publicKey), null)

  const file = join(root, 'receipt.json')
  await writeFile(file, JSON.stringify({ receipt, emailIds, signature, signedBy }))
  t.match(await command(folder, 'verify', file), { code: 0, stdout: /as the service signed it/ })
  await writeFile(file, JSON.stringify({ receipt: { ...receipt, suppressed: 3 }, emailIds, signature, signedBy }))
  t.match(await command(folder, 'verify', file, '--key', publicKey), { code: 1, stdout: /changed after it was signed/ })
  t.match(await command(folder, 'verify', file, '--key', 'none'), { code: 2, stderr: /32 bytes/ })

  const client = new pg.Client({ connectionString: crm.databaseUrl })
  await client.connect()
  await client.query('checkpoint')
  await client.end()
  const left = await look([...all, inGroup])
  for (const value of all) t.strictSame(left.get(value) ?? [], [], value)
  t.ok((left.get(inGroup) ?? []).length > 0, 'the text of a mail with somebody else stays')
  const [group] = (await crm.list()).filter(({ subject }) => subject === 'with Grace')
  t.strictSame(group!.from, [{ erased: true }])
})

t.test('tables built anew do not have it either', async (t) => {
  await crm.made('/v1/admin/projections/rebuild', {})
  await until('the tables', async () => {
    const { data } = (await crm.ask('GET', '/v1/admin/projections')).body as {
      data: { answering: { state: string } | null; building: object | null }[]
    }
    return data.every(({ answering, building }) => answering?.state === 'live' && building === null)
  })
  t.equal((await crm.ask('GET', `/v1/contacts/${id}`)).status, 404)
  t.equal((await crm.list()).length, 2)
  const left = await look(all)
  t.strictSame([...left], [])
})

t.test('a backup from before brings nobody back: the list outside of it erases again before anything is served', async (t) => {
  const list = await readFile(join(folder, 'erasures.jsonl'), 'utf8')
  for (const value of all) t.notMatch(list.toLowerCase(), value.toLowerCase())
  await crm.close()
  const restored = join(root, 'restored')
  await cp(kept, restored, { recursive: true })
  await giveTo(await stat(join(folder, 'postgres', 'cluster')), join(restored, 'postgres'))
  await rm(join(restored, 'events.db'))
  await cp(join(folder, 'erasures.jsonl'), join(restored, 'erasures.jsonl'))
  await mkdir(join(restored, 'eventstore'))
  restore(join(kept, 'events.db'), join(restored, 'eventstore', 'events.db'))
  crm = await startAll(restored)
  t.equal((await crm.ask('GET', `/v1/contacts/${id}`)).status, 404, 'at the first request')
  t.match(
    await readFile(join(restored, 'service.log'), 'utf8'),
    /"again":1,.*a backup had brought back/,
    'there had been somebody to be erased',
  )
  t.strictSame(
    (await crm.list()).map(({ subject }) => subject).sort(),
    ['of Grace alone', 'with Grace'],
    'nor are the mails there in which nobody else took part',
  )
  const client = new pg.Client({ connectionString: crm.databaseUrl })
  await client.connect()
  t.teardown(() => client.end())
  const keys = list.split('\n').flatMap((line) => (line ? ((JSON.parse(line) as { keyIds?: string[] }).keyIds ?? []) : []))
  const there = await client.query('select id from vault.keys where id = any($1) and wrapped is not null', [keys])
  t.ok(keys.length >= 3)
  t.strictSame(there.rows, [])
  t.equal((await crm.ask('POST', '/v1/contacts', { name: 'Back', methods: [{ type: 'email', value: address }] })).status, 409)
  t.match(await command(restored, 'apply'), { code: 0, stdout: /Of 1 erasures in the list 0 were made again/ })
  const { receipt } = await erasure()
  t.match(receipt, { contactId: id, reason: 'other', stays: { emails: 1 } })
  await until(
    'the mask',
    async () => JSON.stringify((await crm.list()).find(({ subject }) => subject === 'with Grace')!.from) === '[{"erased":true}]',
  )
  t.strictSame((await crm.ask('GET', `/v1/contacts?q=${canary.name}`)).body.data, [])
})
