import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Contact } from '../../schema/contact.ts'
import { sourceKinds } from '../../schema/enrichment.ts'
import { recordEnriched } from '../../src/contacts/enriched.ts'
import { filesIn } from '../support/blobs.ts'
import { ADA, googleApi } from '../support/google-api.ts'
import { finished, upload } from '../support/imports.ts'
import { person } from '../support/keys.ts'
import { startNode, until } from '../support/processes.ts'
import { request } from '../support/services.ts'
import { unzip } from '../support/unzip.ts'
import { main } from '../support/whole.ts'

t.setTimeout(240_000)
const attachment = Buffer.from('the plan of the engine\n')
const mailOf = (subject: string, second = 0) =>
  `From: Grace <grace@example.net>\r\nTo: Ada <${ADA}>\r\nSubject: ${subject}\r\nDate: Mon, 2 Feb 2026 10:00:${String(second).padStart(2, '0')} +0000\r\n` +
  `Message-ID: <${subject}@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsecretword of ${subject}\r\n` +
  `--b\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=plan.pdf\r\n\r\n${attachment.toString('base64')}\r\n--b--\r\n`
const closed = Buffer.from(mailOf('closed'))
const { api, connect } = await googleApi(
  t,
  { accounts: [{ address: ADA, messages: [{ raw: closed }] }] },
  { worker: true, env: { MAILBOX_SYNC_SECONDS: '600' } },
)
const { ask, services } = api
await connect()
const file = [1, 2, 3].map(
  (number) => `From x@example.net Mon Feb  2 10:00:00 2026\n${mailOf(`open-${number}`, number).replaceAll('\r\n', '\n')}\n`,
)
await finished(api, (await upload(api, Buffer.from(file.join('')), [ADA])).body.id)
const made = await ask('POST', '/v1/contacts', {
  name: 'Grace Hopper',
  company: 'Navy',
  methods: [
    { type: 'email', value: 'grace@example.net', label: 'work' },
    { type: 'url', value: 'https://navy.example.net/' },
  ],
})
const { id } = made.body as Contact
await ask('POST', `/v1/contacts/${id}/notes`, { text: 'Met in Arlington; likes ships, and clocks.' })
const value = {
  id: randomUUID(),
  field: 'jobTitle',
  value: 'Rear Admiral',
  confidence: 0.9,
  evidence: 'Rear Admiral Hopper',
  isSupported: true,
  source: {
    kind: sourceKinds[0],
    vendor: 'apify',
    url: 'https://navy.example.net/',
    readAt: '2026-03-01T09:30:00.000Z',
    model: 'm',
    promptVersion: '1',
  },
}
await services.runner.execute(recordEnriched, { enrichmentId: randomUUID(), values: [value] }, { id }, request())
await until('all mails', async () => (await ask('GET', `/v1/contacts/${id}/emails`)).body.data?.length === 4)
const emails = (await ask('GET', `/v1/contacts/${id}/emails?sort=date`)).body.data as { id: string; subject: string }[]
const secretOf = ({ subject }: { subject: string }) => `secretword of ${subject}`

const adminKey = 'a-key-for-tests-0123456789'
const download = (contactId: string, key = adminKey, signal?: AbortSignal) =>
  fetch(`${api.url}/v1/contacts/${contactId}/export`, { headers: { authorization: `Bearer ${key}` }, ...(signal && { signal }) })
const exported = async (contactId = id, key?: string) => {
  const answer = await download(contactId, key)
  if (answer.status !== 200) throw new Error(`answered ${answer.status}: ${await answer.text()}`)
  const files = unzip(Buffer.from(await answer.arrayBuffer()))
  return { answer, files, json: (path: string) => JSON.parse(files.get(path)!.toString()) }
}
const get = async (path: string) => (await ask('GET', path)).body

t.test('all that is known of a person is in it, as the API tells it, and the manifest vouches for every file', async (t) => {
  const { answer, files, json } = await exported()
  t.match(answer.headers.get('content-type'), 'application/zip')
  t.equal(answer.headers.get('content-disposition'), `attachment; filename="contact-${id}.zip"`)
  const paths = emails.map(({ id }) => `emails/${id}.eml`)
  t.strictSame(
    [...files.keys()].toSorted(),
    [
      'contact.json',
      'contact.vcf',
      'emails.json',
      'enrichment.json',
      'history.json',
      'manifest.json',
      'shown.json',
      'threads.json',
      ...paths,
    ].toSorted(),
  )
  const { notes, ...contact } = json('contact.json')
  t.strictSame(contact, await get(`/v1/contacts/${id}`))
  t.match(notes, [{ text: 'Met in Arlington; likes ships, and clocks.', actor: 'key:admin', at: String, id: String }])
  t.match(
    files.get('contact.vcf')!.toString(),
    /^BEGIN:VCARD\r\nVERSION:4\.0\r\n.*EMAIL;TYPE=work:grace@example\.net\r\n.*NOTE:Met in Arlington\\; likes/s,
  )
  t.strictSame(json('history.json'), (await get(`/v1/contacts/${id}/history`)).data)
  t.match(json('history.json'), [
    { type: 'ContactCreated', actor: 'key:admin', commandId: String },
    { type: 'NoteAdded' },
    { type: 'ContactEnriched' },
  ])
  t.strictSame(json('enrichment.json'), await get(`/v1/contacts/${id}/enrichment`))
  t.match(json('enrichment.json'), { values: [{ value: 'Rear Admiral', source: { url: 'https://navy.example.net/' } }] })
  t.strictSame(
    json('emails.json'),
    (await get(`/v1/contacts/${id}/emails?sort=date`)).data.map((mail: { id: string }) => ({ ...mail, file: `emails/${mail.id}.eml` })),
  )
  t.strictSame(json('threads.json'), (await get(`/v1/threads?contact=${id}`)).data)
  for (const mail of emails) {
    const raw = await fetch(`${api.url}/v1/emails/${mail.id}/raw`, { headers: { authorization: `Bearer ${adminKey}` } })
    const file = files.get(`emails/${mail.id}.eml`)!
    t.ok(file.equals(Buffer.from(await raw.arrayBuffer())), 'as it came')
    t.match(file.toString(), secretOf(mail))
    t.match(file.toString(), attachment.toString('base64'), 'with its attachments inside')
  }
  const manifest = json('manifest.json')
  t.match(manifest, {
    contactId: id,
    by: 'key:admin',
    leftOut: [],
    counts: { methods: 2, notes: 1, events: 3, values: 1, enrichments: 0, emails: 4, emailsNotWhole: 0, threads: 4 },
  })
  t.equal([...files.keys()].at(-1), 'manifest.json')
  const listed = manifest.files as { path: string; sizeBytes: number; sha256: string }[]
  t.strictSame(
    listed.map(({ path }) => path),
    [...files.keys()].slice(0, -1),
  )
  for (const { path, sizeBytes, sha256 } of listed)
    t.strictSame([sizeBytes, sha256], [files.get(path)!.length, createHash('sha256').update(files.get(path)!).digest('hex')], path)
})

t.test('the command line writes it to a file, and leaves none that is not whole', async (t) => {
  const folder = t.testdir()
  const env = { ...process.env, SMARTCRM_URL: api.url, SMARTCRM_KEY: adminKey }
  const run = async (contactId: string, name: string) => {
    const started = startNode(t, [main, 'export', contactId, '-o', join(folder, name)], { cwd: folder, env })
    return { code: await started.ended, said: started.lines.join('\n') }
  }
  t.match(await run(id, 'grace.zip'), { code: 0, said: /^Written to .*grace\.zip\.$/ })
  t.ok(unzip(await readFile(join(folder, 'grace.zip'))).has('manifest.json'))
  t.match(await run(randomUUID(), 'nobody.zip'), { code: 1, said: /There is no such contact/ })
  t.strictSame(await readdir(folder), ['grace.zip'])
})

t.test('who takes it away is on record before he has it: for the contact, and for each mail', async (t) => {
  const member = await person(api, { role: 'member', name: 'Takes it away' })
  await exported(id, member.key)
  const last = await ask('POST', '/v1/contacts', { name: 'The end' })
  const { data } = (await api.after(last, `/v1/audit?actor=${member.actor}&limit=200`)).body
  const open = emails.filter(({ subject }) => subject !== 'closed').map(({ id }) => `email-${id}`)
  t.strictSame(data.map(({ resource }: { resource: string }) => resource).toSorted(), [`contact-${id}`, ...open].toSorted())
  for (const entry of data) t.equal(entry.operation, 'exportContact')
  const { json } = await exported()
  t.ok(
    json('shown.json').some(
      ({ actor, resource }: { actor: string; resource: string }) => actor === member.actor && resource === `contact-${id}`,
    ),
  )
})

t.test('nobody gets by it what he does not see otherwise, and what is left out is named', async (t) => {
  const member = await person(api, { role: 'member' })
  const { files, json } = await exported(id, member.key)
  const hidden = emails.find(({ subject }) => subject === 'closed')!
  t.notOk(files.has(`emails/${hidden.id}.eml`))
  t.match(json(`emails/${hidden.id}.json`), { visibility: 'metadata', subject: '', text: '', from: [{ address: 'grace@example.net' }] })
  t.match(json('manifest.json'), { counts: { emails: 4, emailsNotWhole: 1 }, leftOut: [{ what: 'shown', needs: 'audit:read' }] })
  t.match(
    json('emails.json').find(({ id }: { id: string }) => id === hidden.id),
    { visibility: 'metadata', file: `emails/${hidden.id}.json` },
  )
  t.notOk([...files.values()].some((content) => content.includes('secretword of closed')))

  await ask('PUT', '/v1/roles/clerk', { permissions: ['contacts:export', 'contacts:read'] })
  const clerk = await exported(id, (await person(api, { role: 'clerk' })).key)
  t.strictSame([...clerk.files.keys()], ['contact.json', 'contact.vcf', 'history.json', 'manifest.json'])
  t.match(clerk.json('manifest.json').leftOut, [{ what: 'enrichment' }, { what: 'mails' }, { what: 'shown' }])

  const reader = await person(api, { role: 'reader' })
  t.equal((await download(id, reader.key)).status, 403)
  const other = await person(api, { sees: 'own', owner: 'somebody' })
  for (const [contactId, key] of [
    [id, other.key],
    [randomUUID(), undefined],
  ] as const) {
    const answer = await download(contactId, key)
    t.match([answer.status, await answer.json()], [404, { code: 'contact-not-found' }])
  }
  const head = await fetch(`${api.url}/v1/contacts/${id}/export`, { method: 'HEAD', headers: { authorization: `Bearer ${adminKey}` } })
  t.equal(head.status, 405)
})

t.test('a mail that turns out damaged breaks the download off', async (t) => {
  const victim = emails.find(({ subject }) => subject === 'open-2')!
  const events = await services.runner.load(`email-${victim.id}`)
  const files = await filesIn(join(api.config.dataFolder, 'blobs'))
  const stored = await Array.fromAsync(services.blobs.list(events[0]!.meta.key!))
  const sound = new Map(await Promise.all(stored.map(async ({ path }) => [files.get(path)!, await readFile(files.get(path)!)] as const)))
  for (const [path, bytes] of sound) await writeFile(path, bytes.with(-20, bytes.at(-20)! ^ 1))
  const answer = await download(id)
  t.equal(answer.status, 200, 'it had begun')
  await t.rejects(answer.arrayBuffer(), 'and never ends')
  for (const [path, bytes] of sound) await writeFile(path, bytes)
  await exported()
})

t.test('mails are streamed: no faster than they are taken, and for nobody who has gone', async (t) => {
  // Attached, and not their text: that would be made searchable, word by word.
  const many = 100
  const mails = Array.from({ length: many }, (_, number) => {
    const lines = randomBytes(100_000).toString('base64').replaceAll(/.{76}/g, '$&\n')
    const head = `From: many@example.net\nTo: ${ADA}\nSubject: ${number}\nDate: Mon, 2 Feb 2026 10:00:00 +0000\nMessage-ID: <many-${number}@example.net>\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64`
    return `From x@example.net Mon Feb  2 10:00:00 2026\n${head}\n\n${lines}\n\n`
  })
  await finished(api, (await upload(api, Buffer.from(mails.join('')), [ADA])).body.id)
  const { body } = await ask('POST', '/v1/contacts', { name: 'Many', methods: [{ type: 'email', value: 'many@example.net' }] })
  const { blobs } = services
  const opened = { count: 0 }
  const { open } = blobs
  const counting = (...args: Parameters<typeof open>) => {
    opened.count += 1
    return open(...args)
  }
  Object.assign(blobs, { open: counting })
  t.teardown(() => Object.assign(blobs, { open }))

  const leaving = new AbortController()
  const answer = await download(body.id, adminKey, leaving.signal)
  const reader = answer.body!.getReader()
  await reader.read()
  /** How many were opened, when it has been so many for a while. */
  const still = async () => {
    let [seen, times] = [-1, 0]
    await until('that it stands still', () => {
      times = seen === opened.count ? times + 1 : 0
      seen = opened.count
      return seen > 0 && times >= 50
    })
    return seen
  }
  const taken = await still()
  t.ok(taken > 0 && taken < many * 0.9, `${taken} of ${many} were read for somebody who takes nothing`)
  leaving.abort()
  t.ok((await still()) < many * 0.9, 'nor are they for somebody who has gone')

  const { files, json } = await exported(body.id)
  t.match(json('manifest.json').counts, { emails: many })
  t.equal(json('emails.json').length, many)
  t.equal([...files.keys()].filter((path) => path.startsWith('emails/')).length, many)
})

t.test('of one that others were merged into, it has their histories and notes too', async (t) => {
  const [into, from] = [
    (await ask('POST', '/v1/contacts', { name: 'One' })).body.id,
    (await ask('POST', '/v1/contacts', { name: 'Two' })).body.id,
  ]
  await ask('POST', `/v1/contacts/${from}/notes`, { text: 'Of the other.' })
  await ask('POST', `/v1/contacts/${into}/merge`, { from })
  const { files, json } = await exported(from)
  t.match(json('contact.json'), { id: into, merged: [from], notes: [{ text: 'Of the other.' }] }, 'also by the id of the other')
  t.match(json(`merged/${from}/history.json`), [{ type: 'ContactCreated' }, { type: 'NoteAdded' }, { type: 'ContactMergedInto' }])
  t.ok(files.has('history.json'))
})
