/**
 * A person is erased at once, and everything is killed in the middle of that (`kill -9`) and started again; then no byte of any file has what the person had
 * left anywhere. What test/erasure-canary.test.ts shows without kills.
 */
import { chmod, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { finished, upload } from '../support/imports.ts'
import { attached, multipart } from '../support/mime.ts'
import { until } from '../support/processes.ts'
import { startWhole } from '../support/whole.ts'

const folder = await mkdtemp(join(tmpdir(), 'smartcrm-canary-'))
await chmod(folder, 0o755)
t.setTimeout(240_000)
t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
const key = 'a-key-for-tests-0123456789'
const ME = 'me@example.com'
const env = { SMARTCRM_ADMIN_KEY: key, LOG_LEVEL: 'debug' }

/** Where each canary is put, and so what it is called by. */
const canary = (place: string) => `qzx${place}canary`
const ADDRESS = `${canary('address')}@example.com`
const OLD = `${canary('old')}@example.org`
const shared = canary('groupbody')

/** What of the files under the folder has which of these texts. */
async function found(texts: readonly string[]): Promise<Map<string, Set<string>>> {
  const where = new Map<string, Set<string>>()
  const sought = texts.map((text) => [text, Buffer.from(text)] as const)
  const longest = Math.max(...sought.map(([, bytes]) => bytes.length))
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const file = await open(path).catch(() => null)
    if (!file) continue
    let rest = Buffer.alloc(0)
    for await (const piece of file.createReadStream({ highWaterMark: 2 ** 20 })) {
      const bytes = Buffer.concat([rest, piece as Buffer])
      // Case is not kept everywhere, and of no account.
      const folded = Buffer.from(bytes.toString('latin1').toLowerCase(), 'latin1')
      for (const [text, wanted] of sought)
        if (folded.includes(wanted)) where.set(text, (where.get(text) ?? new Set()).add(path.slice(folder.length + 1)))
      rest = bytes.subarray(-longest)
    }
  }
  return where
}

const lines = (...all: string[]) => all.join('\n')
const message = (subject: string, from: string, to: string, text: string) =>
  lines(
    'From x@example.org Mon Feb  2 10:00:00 2026',
    `From: ${from}`,
    `To: ${to}`,
    `Subject: ${subject}`,
    'Date: Mon, 2 Feb 2026 10:00:00 +0000',
    `Message-ID: <${subject.replaceAll(/\W/g, '')}@mail.example.net>`,
    'MIME-Version: 1.0',
    multipart('mixed', 'b', [
      `Content-Type: text/plain\n\n${text}\n`,
      attached('text/plain', `${subject.split(' ')[0]}.txt`, Buffer.from(`attached: ${text} attachment`)),
    ]),
    '',
  )

type Service = Awaited<ReturnType<typeof startWhole>>
// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
async function ask(service: Service, method: string, path: string, body?: object): Promise<any> {
  const response = await fetch(service.url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const answer = await response.json()
  if (!response.ok && response.status !== 404) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`)
  return { status: response.status, ...(answer as object) }
}

t.test('of a person who is erased with now nothing is found in any file, but what the receipt says', async (t) => {
  const log: string[] = []
  const first = await startWhole(t, folder, env)
  const from = `"${canary('party')}" <${ADDRESS}>`
  const put = [
    'name',
    'company',
    'phone',
    'label',
    'url',
    'social',
    'note',
    'job',
    'subject',
    'body',
    'sent',
    'removed',
    'party',
    'address',
    'old',
    'row',
  ]
  const person = await ask(first, 'POST', '/v1/contacts', {
    name: `Ada ${canary('name')}`,
    company: canary('company'),
    methods: [
      { type: 'email', value: ADDRESS, label: canary('label') },
      { type: 'email', value: OLD },
      { type: 'phone', value: canary('phone') },
      { type: 'url', value: `https://${canary('url')}.example` },
      { type: 'social', value: canary('social') },
    ],
  })
  await ask(first, 'POST', `/v1/contacts/${person.id}/notes`, { text: `Met, and ${canary('note')}.` })
  await ask(first, 'PUT', `/v1/contacts/${person.id}/fields/jobTitle`, { values: [canary('job')] })
  await ask(first, 'DELETE', `/v1/contacts/${person.id}/methods/${person.methods[1].id}`)
  const csv = await upload(
    { url: first.url, key },
    Buffer.from(`name,email,notes\nAda,${ADDRESS},${canary('row')}\nBea,bea@example.org,none\n`),
  )
  await finished({ url: first.url, key }, csv.body.id)
  const mbox = [
    message(`${canary('subject')} one`, from, ME, `${canary('body')} ${canary('body')}`),
    message('to her', ME, from, canary('sent')),
    message('by the old address', `${canary('party')} <${OLD}>`, ME, canary('body')),
    message('thrown away', from, ME, canary('removed')),
    message('with grace', from, `${ME}, Grace <grace@example.org>`, `Both of us: ${shared}`),
  ]
  const mails = await upload({ url: first.url, key }, Buffer.from(mbox.join('\n')), [ME])
  t.match((await finished({ url: first.url, key }, mails.body.id)).counts, { stored: 5 })
  const list = async (service: Service) => (await ask(service, 'GET', '/v1/emails')).data as { id: string; subject: string }[]
  await until('the mails', async () => (await list(first)).length === 5)
  const idOf = async (subject: string) => (await list(first)).find((one) => one.subject === subject)!.id
  const group = await idOf('with grace')
  await ask(first, 'DELETE', `/v1/emails/${await idOf('thrown away')}`)
  await until('it to go', async () => (await list(first)).length === 4)
  const before = await found(put.map(canary))
  const inClear = put.map(canary).filter((text) => before.has(text))
  t.ok(inClear.length >= put.length - 2, `there is something to be found: ${put.filter((place) => !before.has(canary(place)))}`)

  const asked = await ask(first, 'POST', `/v1/contacts/${person.id}/erase`, { reason: 'requested-by-person', now: true })
  await until('it to be begun', async () => (await ask(first, 'GET', `/v1/jobs/${asked.jobId}`)).progress?.done > 0)
  await first.killAll()
  log.push(...first.lines)

  const second = await startWhole(t, folder, env)
  await until('the end of the erasure', async () => {
    const job = await ask(second, 'GET', `/v1/jobs/${asked.jobId}`)
    if (job.state === 'failed') throw new Error(JSON.stringify(job.error))
    return job.state === 'done'
  })
  const { receipt, emailIds } = await until('the receipt', async () => {
    const answer = await ask(second, 'GET', `/v1/contacts/${person.id}/erasure`)
    return answer.status === 200 ? answer : null
  })
  t.match(receipt, { physical: true, destroyed: { contacts: 1, keys: 5, emails: 4, uploads: 1 }, suppressed: 2, stays: { emails: 1 } })
  t.strictSame(receipt.scan.found, [], 'its own search finds nothing')
  t.strictSame(emailIds, [group])
  t.match((await ask(second, 'GET', `/v1/emails/${group}`)).text, shared, 'what is between others stays')
  second.child.kill('SIGTERM')
  t.equal(await second.ended, 0)
  log.push(...second.lines)
  await writeFile(join(folder, 'service.log'), log.join('\n'))

  t.strictSame(
    await found([...put.map(canary), 'qzxaddresscanary', ...['subject one', 'attached: qzx'].map((text) => `qzx${text}`)]),
    new Map(),
  )
  const texts = [...((await found([shared])).get(shared) ?? [])]
  t.ok(
    texts.length > 0 && texts.every((path) => path.startsWith('data/postgres/')),
    'the body that the receipt names is there, where bodies are',
  )
})
