import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { importBlobs } from '../../projections/imports.ts'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { adminKey, testApi } from '../support/api.ts'
import { finished, get, postForm, results, upload } from '../support/imports.ts'
import { madeUpMail, madeUpMbox, OWN_ADDRESS } from '../support/made-up-mail.ts'

t.setTimeout(240_000)
const api = await testApi(t)
t.teardown((await runWorker(api.config, createLogger(process.env['TEST_LOG'] ?? 'silent', 'worker'))).close)
const whole = (pieces: Iterable<Buffer>) => Buffer.concat([...pieces])
const none = { stored: 0, known: 0, created: 0, updated: 0, unchanged: 0, failed: 0 }
const { blobs, store } = api.services
/** Where the log ends, and what was recorded since then, but for the service's own pulse. */
const end = async () => store.end()
const since = async (position: Awaited<ReturnType<typeof end>>) =>
  (await store.readAll(position, 1_000)).filter(({ type }) => !type.startsWith('$') && type !== 'HeartbeatRecorded').length
const blobsOf = async (importId: string) => {
  const { key } = (await store.readFirst(`import-${importId}`))!.metadata as { key: string }
  return (await Array.fromAsync(blobs.list(key))).length
}
const bytes = async (path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(api.url + path, { headers: { authorization: `Bearer ${adminKey}`, ...headers } })
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
}
/** More than one event holds the outcomes of. */
const MAILS = 540
const file = whole(madeUpMbox(MAILS))
let first: Awaited<ReturnType<typeof upload>>

t.test('an mbox goes in, message by message', async (t) => {
  first = await upload(api, file, [OWN_ADDRESS.toUpperCase()])
  const { body, headers } = first
  t.equal(headers.get('location'), `/v1/jobs/${body.jobId}`)
  t.match(body, { kind: 'mbox', known: false, sizeBytes: file.length, sha256: createHash('sha256').update(file).digest('hex') })
  const done = await finished(api, body.id)
  t.match(done, { state: 'finished', done: MAILS, readBytes: file.length, me: [OWN_ADDRESS], fault: null, fileName: 'a file.mbox' })
  t.strictSame(done.counts, { ...none, stored: MAILS })
  const all = await results(api, body.id)
  t.strictSame(
    all.map(({ index }) => index),
    Array.from({ length: MAILS }, (_, index) => index),
  )
  t.equal(new Set(all.map(({ emailId }) => emailId)).size, MAILS)
  for (const { index, emailId } of all.filter(({ index }) => index % 29 === 0)) {
    const [event] = await api.services.runner.load(`email-${emailId}`)
    const made = madeUpMail(index)
    const { subject, messageId, attachments } = event!.data as { subject: string; messageId: string; attachments: object[] }
    t.equal(event!.type, made.sent ? 'EmailSent' : 'EmailReceived')
    t.strictSame(
      { subject, messageId, attachments: attachments.length },
      { subject: made.subject, messageId: made.messageId, attachments: made.attachments },
    )
    t.equal(event!.meta.$correlationId, body.id)
    const raw = await bytes(`/v1/emails/${emailId}/raw`)
    t.ok(raw.body.equals(made.raw), `mail ${index} is kept as it came`)
  }
  const job = await get<{ state: string; result: object }>(api, headers.get('location')!)
  t.match(job.body, { state: 'done' })
  for (let tries = 0; tries < 100 && (await blobsOf(body.id)) > 0; tries += 1) await delay(50)
  t.equal(await blobsOf(body.id), 0, 'the upload is not kept when nothing in it needs it any more')
})

t.test('the same file again is the same import, and changes nothing', async (t) => {
  const before = await end()
  const again = await upload(api, file, [OWN_ADDRESS])
  t.match(again.body, { id: first.body.id, jobId: first.body.jobId, known: true })
  t.equal(await blobsOf(first.body.id), 0)
  t.equal(await since(before), 0, 'not an event')
})

t.test('the same mails in another file are known', async (t) => {
  const { body } = await upload(api, whole(madeUpMbox(120, 1, 100)), [OWN_ADDRESS])
  t.not(body.id, first.body.id)
  t.strictSame((await finished(api, body.id)).counts, { ...none, known: 120 })
  const stored = await results(api, first.body.id)
  const known = await results(api, body.id)
  t.strictSame(
    known.map(({ emailId }) => emailId),
    stored.slice(100, 220).map(({ emailId }) => emailId),
  )
})

t.test('known ones after many new ones are found to be known all the same, and leave nothing behind', async (t) => {
  const { body } = await upload(api, whole([...madeUpMbox(80, 90), ...madeUpMbox(60, 1, 50)]), [OWN_ADDRESS])
  t.strictSame((await finished(api, body.id)).counts, { ...none, stored: 80, known: 60 })
  const all = await results(api, body.id)
  const keyOf = new Map(
    (await store.readAll(null, 10_000)).map(({ stream, metadata }) => [stream, (metadata as { key: string } | null)?.key]),
  )
  const keysOf = (mails: typeof all) => new Set(mails.map(({ emailId }) => keyOf.get(`email-${emailId}`)))
  t.equal(keysOf(all).size, 140)
  t.ok((await bytes(`/v1/emails/${all.at(-1)!.emailId}/raw`)).body.equals(madeUpMail(109).raw))
  const earlier = await results(api, first.body.id)
  const keys = keysOf(all).union(keysOf(earlier))
  const others = (await Array.fromAsync(blobs.list())).filter(({ keyId }) => !keys.has(keyId))
  t.strictSame(others, [], 'no blob of a key that no mail has')
})

t.test('a mail that is twice in a file is stored once', async (t) => {
  const one = whole(madeUpMbox(1, 77))
  const { body } = await upload(api, Buffer.concat(Array.from({ length: 40 }, () => one)))
  t.strictSame((await finished(api, body.id)).counts, { ...none, stored: 1, known: 39 })
  const [{ emailId }] = (await results(api, body.id)) as unknown as [{ emailId: string }]
  const [event] = await api.services.runner.load(`email-${emailId}`)
  t.ok((await bytes(`/v1/emails/${emailId}/raw`)).body.equals(madeUpMail(0, 77).raw), 'and its bytes are there, whoever of them stored it')
  t.ok(event!.meta.key)
})

t.test('a mail that was removed comes back with another file', async (t) => {
  const mail = madeUpMail(5, 78).raw
  const { body } = await upload(api, mail)
  await finished(api, body.id)
  const [{ emailId }] = (await results(api, body.id)) as unknown as [{ emailId: string }]
  t.match(await api.ask('DELETE', `/v1/emails/${emailId}`), { status: 200, body: { removed: true } })
  t.equal((await bytes(`/v1/emails/${emailId}/raw`)).status, 404)
  t.equal((await api.ask('DELETE', `/v1/emails/${emailId}`)).status, 200)
  const again = await upload(api, whole(madeUpMbox(1, 78, 5)))
  t.strictSame((await finished(api, again.body.id)).counts, { ...none, stored: 1 })
  t.ok((await bytes(`/v1/emails/${emailId}/raw`)).body.equals(mail))
})

t.test('what cannot be read is kept as it came, with the reason', async (t) => {
  const hostile = `Content-Type: multipart/mixed; boundary=b\nSubject: parts\n\n${'--b\n\n'.repeat(3_000)}`
  const sound = madeUpMail(3, 79).raw.toString('latin1')
  const mbox = ['', sound, hostile, 'Nonsense: without\n\nanything of a mail', sound.replace('Subject:', 'Subject: Another')]
  const text = mbox
    .slice(1)
    .map((mail) => `From a@b.example Mon Jan  1 00:00:00 2024\n${mail}\n\n`)
    .join('')
  const { body } = await upload(api, Buffer.from(text, 'latin1'))
  const done = await finished(api, body.id)
  t.strictSame(done.counts, { ...none, stored: 2, failed: 2 })
  const failed = await results(api, body.id, '&outcome=failed')
  t.match(failed, [
    { index: 1, code: 'too-many-parts', reason: /2,000 parts/, hasRaw: true },
    { index: 2, code: 'not-a-mail', hasRaw: true },
  ])
  const raw = await bytes(`/v1/imports/${body.id}/results/1/raw`)
  t.equal(raw.body.toString('latin1').trimEnd(), hostile.trimEnd())
  t.match(raw.headers.get('content-disposition'), /^attachment/)
  t.equal((await bytes(`/v1/imports/${body.id}/results/0/raw`)).status, 404)

  const referred = async (id: string) => {
    const { key } = (await store.readFirst(`import-${id}`))!.metadata as { key: string }
    return (await importBlobs(api.services.pool, [key])).length
  }
  t.equal(await referred(body.id), 2, 'the sweep spares what could not be read')
  const alone = await upload(api, Buffer.from(hostile))
  t.match(await finished(api, alone.body.id), { kind: 'eml', counts: { failed: 1, stored: 0 } })
  t.equal((await bytes(`/v1/imports/${alone.body.id}/results/0/raw`)).body.toString(), hostile)
  t.equal(await referred(alone.body.id), 1)
})

t.test('contacts come in by the same way', async (t) => {
  const csv =
    'Name,Mail\nAda Amber,ada@imports.example\nBen Birch,ben@imports.example\nAda Again,ada@imports.example\nNo Address,not an address\n,,too,many\n'
  const { body } = await upload(api, Buffer.from(csv), [], [['map', 'Mail=email']])
  const done = await finished(api, body.id)
  t.match(done, { kind: 'csv', done: 5, map: ['Mail=email'] })
  t.strictSame(done.counts, { ...none, created: 3, updated: 1, failed: 1 })
  t.match(await results(api, body.id, '&outcome=failed'), [{ index: 4, line: 6, reason: /cells/ }])
  const before = await end()
  t.match((await upload(api, Buffer.from(csv), [], [['map', 'Mail=email']])).body, { id: body.id, known: true })
  t.equal(await since(before), 0)
  t.not((await upload(api, Buffer.from(csv))).body.id, body.id, 'with other columns it is another import')

  const card = await upload(api, Buffer.from('BEGIN:VCARD\nVERSION:4.0\nFN:Cleo Cedar\nEMAIL:cleo@imports.example\nEND:VCARD\n'))
  t.match(await finished(api, card.body.id), { kind: 'vcard', counts: { created: 1 } })
  const html = await upload(api, Buffer.from('<!doctype html><p>Nothing to import.'))
  t.match(await finished(api, html.body.id), { done: 0, fault: /HTML/ })
})

t.test('a wrong form is refused with everything that is wrong, and leaves nothing', async (t) => {
  const before = (await Array.fromAsync(blobs.list())).length
  const mail = new Blob([new Uint8Array(madeUpMail(1, 80).raw)])
  const cases: [string, Parameters<typeof postForm>[1], string[]][] = [
    ['no file', [['me', 'me@own.example']], ['/file']],
    ['an empty one', [['file', new Blob([])]], ['/file']],
    ['a text in its place', [['file', 'a text']], ['/file']],
    [
      'two files',
      [
        ['file', mail],
        ['file', mail],
      ],
      ['/file'],
    ],
    [
      'an address that is none',
      [
        ['file', mail],
        ['me', 'nobody'],
      ],
      ['/me'],
    ],
    [
      'a wrong map and an unknown field',
      [
        ['map', 'x=y'],
        ['who', 'x'],
        ['file', mail],
      ],
      ['/map', '/who'],
    ],
  ]
  for (const [title, fields, paths] of cases) {
    const { status, body } = await postForm(api, fields)
    t.equal(status, 400, title)
    t.strictSame(
      body.errors?.map(({ path }) => path),
      paths,
      title,
    )
  }
  t.match(await api.ask('POST', '/v1/imports', { file: 'x' }), { status: 415, body: { code: 'unsupported-media-type' } })
  const noKey = await fetch(`${api.url}/v1/imports`, { method: 'POST', body: new FormData() })
  t.equal(noKey.status, 401)
  t.equal((await Array.fromAsync(blobs.list())).length, before)
})

t.test('an upload that breaks off leaves nothing', async (t) => {
  const before = (await Array.fromAsync(blobs.list())).length
  const at = await end()
  const head = `POST /v1/imports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${adminKey}\r\ncontent-type: multipart/form-data; boundary=b\r\n`
  const part = '--b\r\ncontent-disposition: form-data; name="file"; filename="x.eml"\r\n\r\nFrom: a@b.example\r\n\r\n'
  const port = Number(new URL(api.url).port)
  const send = (text: string, close: boolean) =>
    new Promise<string>((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      let answer = ''
      socket
        .on('data', (piece) => (answer += piece))
        .on('close', () => resolve(answer))
        .on('error', () => {})
      socket.write(text, () => close && setTimeout(() => socket.destroy(), 100))
    })
  await send(`${head}content-length: 1000000\r\n\r\n${part}`, true)
  const cut = await send(`${head}connection: close\r\ncontent-length: ${part.length}\r\n\r\n${part}`, false)
  t.match(cut, /^HTTP\/1\.1 400 [\s\S]*form-incomplete/)
  const nonsense = await send(`${head}connection: close\r\ncontent-length: 5\r\n\r\nhello`, false)
  t.match(nonsense, /^HTTP\/1\.1 400 /)
  for (let tries = 0; tries < 100 && (await Array.fromAsync(blobs.list())).length > before; tries += 1) await delay(50)
  t.equal((await Array.fromAsync(blobs.list())).length, before)
  t.equal(await since(at), 0)
})

t.test('HTML and attachments of a mail', async (t) => {
  const all = await results(api, first.body.id)
  const { emailId } = all.find(({ index }) => madeUpMail(index).hasHtml && madeUpMail(index).attachments > 0)!
  const html = await bytes(`/v1/emails/${emailId}/html`)
  t.match(html.headers.get('content-type'), /^text\/html/)
  t.match(html.headers.get('content-security-policy'), /default-src 'none'.*sandbox/)
  t.notMatch(html.headers.get('content-security-policy'), /script|allow-same-origin/)
  t.equal(html.headers.get('x-content-type-options'), 'nosniff')
  t.notMatch(html.body.toString(), /<script|\ssrc=/)
  const [event] = await api.services.runner.load(`email-${emailId}`)
  const { attachments } = event!.data as { attachments: { id: string; sha256: string; sizeBytes: number }[] }
  const path = `/v1/emails/${emailId}/attachments/${attachments[0]!.id}`
  const attachment = await bytes(path)
  t.equal(createHash('sha256').update(attachment.body).digest('hex'), attachments[0]!.sha256)
  t.match(attachment.headers.get('content-disposition'), /^attachment; .*filename\*=UTF-8''Gr%C3%B6%C3%9Fe/i)
  const range = await bytes(path, { range: 'bytes=10-19' })
  t.equal(range.status, 206)
  t.ok(range.body.equals(attachment.body.subarray(10, 20)))
  t.equal((await bytes(`/v1/emails/${emailId}/attachments/${emailId}`)).status, 404)
  t.equal((await bytes(`/v1/emails/${first.body.id}/raw`)).status, 404)
  const plain = all.find(({ index }) => !madeUpMail(index).hasHtml)!
  t.equal((await bytes(`/v1/emails/${plain.emailId}/html`)).status, 404)
})

const samples = join(import.meta.dirname, '../../../shared/data/mail')
const there = await readdir(samples, { recursive: true, withFileTypes: true }).catch(() => [])
t.test('the 103 sample mails', { skip: there.length === 0 && '../shared/data/mail is not there' }, async (t) => {
  const paths = there.filter((entry) => entry.isFile() && /\.eml$/i.test(entry.name)).map((entry) => join(entry.parentPath, entry.name))
  t.equal(paths.length, 103)
  paths.sort()
  // Some of the files are the same, and so the same import.
  const imports = new Map<string, Awaited<ReturnType<typeof results>>>()
  const imported = async (paths: readonly string[]) => {
    const waiting = paths.entries()
    const outcomes: Awaited<ReturnType<typeof results>>[] = []
    const inTurn = async () => {
      for (const [place, path] of waiting) {
        const { body } = await upload(api, await readFile(path))
        await finished(api, body.id)
        outcomes[place] = await results(api, body.id)
        imports.set(body.id, outcomes[place])
      }
    }
    await Promise.all(Array.from({ length: 8 }, inTurn))
    return outcomes.flat()
  }
  const outcomes = await imported(paths)
  t.equal(outcomes.length, 103, 'each is accounted for')
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed')
  t.ok(failed.length <= 2)
  for (const { reason, hasRaw } of failed) t.ok(reason && hasRaw, `${reason}`)
  const stored = [...imports.values()].flat().filter(({ outcome }) => outcome === 'stored')
  t.equal(new Set(stored.map(({ emailId }) => emailId)).size, stored.length)
  t.comment(`${stored.length} stored, ${outcomes.length - stored.length - failed.length} known, ${failed.length} failed`)
  const before = await end()
  t.strictSame(await imported(paths), outcomes, 'the same again changes nothing')
  t.equal(await since(before), 0, 'not an event')
})
