import { randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { BlobStore } from '../../../src/platform/blob-store.ts'
import { createBlobs } from '../../../src/platform/blobs.ts'
import { type BlobAnswer, sendBlob } from '../../../src/platform/http/blobs.ts'
import { attachmentDisposition, safeFileName } from '../../../src/platform/http/content-disposition.ts'
import { createServer } from '../../../src/platform/http/server.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { CHUNK_BYTES, HEADER_BYTES } from '../../../src/platform/sealed-stream.ts'
import { inFolder, newKey } from '../../support/blobs.ts'

const content = randomBytes(3 * CHUNK_BYTES + 100)

type Teardown = Parameters<typeof inFolder>[0]

/** A server with one blob at `/blob`. */
async function served(t: Teardown, answer: Partial<BlobAnswer> = {}, bytes = content) {
  const place = await inFolder(t)
  let reads = 0
  const read: BlobStore['read'] = (...args) => {
    reads += 1
    return place.store.read(...args)
  }
  const blobs = createBlobs({ ...place.store, read })
  const key = newKey()
  const { sha256 } = await blobs.put(key, bytes)
  const given = { key, sha256, type: 'image/png', as: 'attachment', name: 'a.png', ...answer } as BlobAnswer
  const app = createServer({ keys: {} as never, access: {}, log: createLogger('silent', 'test') })
  app.get('/blob', { config: { open: true } }, (request, reply) => sendBlob(request, reply, blobs, given))
  const url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/blob`
  t.teardown(() => app.close())
  const ask = async (headers: Record<string, string> = {}, method = 'GET') => {
    const response = await fetch(url, { method, headers })
    return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
  }
  return { ...place, sha256, url, ask, reads: () => reads, etag: `"${sha256}"` }
}

t.test('a content is sent whole, with headers that let nothing run', async (t) => {
  const { ask, etag } = await served(t)
  const { status, headers, body } = await ask()
  t.equal(status, 200)
  t.ok(body.equals(content))
  t.match(Object.fromEntries(headers), {
    'content-length': String(content.length),
    'content-type': 'image/png',
    'content-disposition': 'attachment; filename="a.png"',
    'content-security-policy': /^default-src 'none'.*; sandbox$/,
    'x-content-type-options': 'nosniff',
    'cache-control': 'private, no-cache',
    'accept-ranges': 'bytes',
    etag,
  })
})

t.test('HEAD says the same, without the content', async (t) => {
  const { ask } = await served(t)
  const [get, head] = [await ask(), await ask({ range: 'bytes=0-1' }, 'HEAD')]
  t.equal(head.status, 200)
  t.equal(head.body.length, 0)
  for (const name of ['content-length', 'content-type', 'etag', 'content-disposition'])
    t.equal(head.headers.get(name), get.headers.get(name), name)
})

t.test('a range is a slice of it', async (t) => {
  const { ask } = await served(t)
  const size = content.length
  const place = fc.oneof(fc.nat(size + 10), fc.constantFrom(0, CHUNK_BYTES - 1, CHUNK_BYTES, size - 1, size))
  const check = async (first: number | null, last: number | null) => {
    const { status, headers, body } = await ask({ range: `bytes=${first ?? ''}-${last ?? ''}` })
    if ((first === null && last === null) || (first !== null && last !== null && last < first)) {
      t.equal(status, 200)
      return t.equal(body.length, size)
    }
    const start = first === null ? Math.max(0, size - last!) : first
    const end = first === null || last === null ? size : Math.min(size, last + 1)
    if (start >= size) {
      t.equal(status, 416)
      t.equal(headers.get('content-range'), `bytes */${size}`)
      return t.match(JSON.parse(body.toString()), { code: 'range-not-satisfiable', status: 416 })
    }
    t.equal(status, 206)
    t.equal(headers.get('content-range'), `bytes ${start}-${end - 1}/${size}`)
    t.equal(headers.get('content-length'), String(end - start))
    t.ok(body.equals(content.subarray(start, end)))
  }
  const optional = fc.option(place)
  await fc.assert(fc.asyncProperty(optional, optional, check), {
    numRuns: 60,
    examples: [
      [null, 0],
      [0, 0],
      [size, null],
      [null, size + 1],
    ],
  })
})

t.test('what is not understood, or several ranges, are answered by the whole', async (t) => {
  const { ask } = await served(t)
  for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=a-b', 'bytes 0-1', 'bytes=']) {
    const { status, body } = await ask({ range })
    t.equal(status, 200, range)
    t.equal(body.length, content.length)
  }
})

t.test('conditions: If-None-Match, If-Match and If-Range', async (t) => {
  const { ask, etag } = await served(t)
  const status = async (headers: Record<string, string>) => (await ask(headers)).status
  t.equal(await status({ 'if-none-match': etag }), 304)
  t.equal(await status({ 'if-none-match': `"x", W/${etag}` }), 304)
  t.equal(await status({ 'if-none-match': '"x"' }), 200)
  t.equal(await status({ 'if-match': etag }), 200)
  t.equal(await status({ 'if-match': `"x", W/${etag}` }), 412)
  const range = 'bytes=0-1'
  t.equal(await status({ range, 'if-range': etag }), 206)
  for (const other of ['"x"', `W/${etag}`, 'Mon, 23 Nov 2026 00:00:00 GMT']) t.equal(await status({ range, 'if-range': other }), 200, other)
  t.equal(await status({ range: 'bytes=999999999-', 'if-range': '"x"' }), 200)
  t.equal(await status({ range, 'if-none-match': etag }), 304)
})

t.test('an empty content is answered too, and no range of it', async (t) => {
  const { ask } = await served(t, {}, Buffer.alloc(0))
  const { status, headers, body } = await ask()
  t.same([status, headers.get('content-length'), body.length], [200, '0', 0])
  for (const range of ['bytes=0-', 'bytes=-1']) t.equal((await ask({ range })).status, 416)
})

t.test('what a browser may run, and what is no media type, is sent as octets', async (t) => {
  const types = {
    'text/html': false,
    'image/svg+xml': false,
    'application/xhtml+xml': false,
    'text/javascript': false,
    'a\r\nx: y': false,
    '': false,
    'text/plain; charset=utf-8': true,
    'application/pdf': true,
  }
  for (const [type, isKept] of Object.entries(types)) {
    const { ask } = await served(t, { type }, Buffer.from('x'))
    t.equal((await ask()).headers.get('content-type'), isKept ? type : 'application/octet-stream', type)
  }
})

t.test('what we made harmless may be shown, under a policy of its own', async (t) => {
  const { ask } = await served(
    t,
    { type: 'text/html; charset=utf-8', as: 'inline', policy: "default-src 'none'; img-src data:; sandbox" },
    Buffer.from('<p>Hello'),
  )
  t.match(Object.fromEntries((await ask()).headers), {
    'content-type': 'text/html; charset=utf-8',
    'content-disposition': 'inline',
    'content-security-policy': "default-src 'none'; img-src data:; sandbox",
    'x-content-type-options': 'nosniff',
  })
})

t.test('erased, missing and damaged are told apart', async (t) => {
  const erased = await served(t, { key: { ...newKey(), key: null } })
  t.match(JSON.parse((await erased.ask()).body.toString()), { status: 410, code: 'content-erased' })
  const missing = await served(t, { key: newKey() })
  t.match(JSON.parse((await missing.ask()).body.toString()), { status: 500, code: 'content-missing', detail: new RegExp(missing.sha256) })
  const damaged = await served(t)
  const [[name, bytes]] = [...(await damaged.files())] as [[string, Buffer]]
  await damaged.overwrite(name, bytes.subarray(0, -1))
  t.match(JSON.parse((await damaged.ask()).body.toString()), { status: 500, code: 'content-damaged', detail: new RegExp(damaged.sha256) })
})

t.test('a damage that is met on the way breaks the answer off', async (t) => {
  const { ask, files, overwrite } = await served(t)
  const [[name, bytes]] = [...(await files())] as [[string, Buffer]]
  const changed = Buffer.from(bytes)
  changed[HEADER_BYTES + 2 * CHUNK_BYTES + 100]! ^= 1
  await overwrite(name, changed)
  await t.rejects(ask(), /terminated|fetch failed/)
  t.equal((await ask({ range: 'bytes=0-9' })).status, 206, 'what is good can be read')
})

t.test('a reader that stops costs little, and one that leaves ends the reading', async (t) => {
  const pieces = 64
  const { url, reads } = await served(t, {}, Buffer.alloc(pieces * 16 * CHUNK_BYTES))
  const before = reads()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const request = httpRequest(url, (response) => response.once('data', () => resolve(void response.pause())))
  request.on('error', reject).end()
  await promise
  // Until no more is read, because what is between the two is full; or all is.
  for (let seen = -1, still = 0; still < 10 && reads() - before < pieces; still = reads() === seen ? still + 1 : 0) {
    seen = reads()
    await delay(20)
  }
  const atRest = reads() - before
  t.ok(atRest < pieces / 2, `${atRest} of ${pieces} pieces were read`)
  request
    .off('error', reject)
    .on('error', () => {})
    .destroy()
  // The server, which ends when the answer has ended, is closed by the teardown.
})

t.test('names of files come through as they are, and do no harm', async (t) => {
  const names: Record<string, string> = {
    'report.pdf': 'attachment; filename="report.pdf"',
    'Übersicht 100%.pdf': `attachment; filename="Ubersicht 100_.pdf"; filename*=UTF-8''%C3%9Cbersicht%20100%25.pdf`,
    "it's (a) *.txt": `attachment; filename="it's (a) _.txt"`,
    '名前.txt': `attachment; filename="__.txt"; filename*=UTF-8''%E5%90%8D%E5%89%8D.txt`,
    '../../etc/passwd': 'attachment; filename="_.._etc_passwd"',
    'a"; filename="b.exe': 'attachment; filename="a__ filename=_b.exe"'.replace('a__', 'a_;'),
    'x\r\nset-cookie: a=b': 'attachment; filename="x__set-cookie_ a=b"',
    'invoice\u202efdp.exe': 'attachment; filename="invoicefdp.exe"',
    '...': 'attachment; filename="file"',
    '\u{1e000}': `attachment; filename="file"; filename*=UTF-8''%F0%9E%80%80`,
    '': 'attachment; filename="file"',
  }
  for (const [name, expected] of Object.entries(names)) t.equal(attachmentDisposition(name), expected, JSON.stringify(name))
  t.equal(safeFileName(`${'a'.repeat(5000)}.pdf`), `${'a'.repeat(150)}.pdf`)
})

t.test('any text at all makes a header that can be sent, and a name that is found in it', async () => {
  const any = fc.string({
    unit: fc.oneof(
      fc.string({ minLength: 1, maxLength: 1, unit: 'binary' }),
      fc.constantFrom('\ud800', '"', '\uff02', '\\', '\uff3c', '%', "'", '\n', '/'),
    ),
  })
  fc.assert(
    fc.property(any, (name) => {
      const header = attachmentDisposition(name)
      const safe = safeFileName(name)
      const [, ascii, , encoded] = /^attachment; filename="([\x20-\x7e]+)"(; filename\*=UTF-8''([\w!#$&+.^`|~%-]+))?$/.exec(header) ?? []
      return ascii !== undefined && !/["\\%]/.test(ascii) && (encoded === undefined ? ascii === safe : decodeURIComponent(encoded) === safe)
    }),
    { numRuns: 2000 },
  )
})
