import { createHash, randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import t from 'tap'
import { openBlobs } from '../../src/blobs.ts'
import { readConfig } from '../../src/config.ts'
import { createBlobs, FRESH_MS } from '../../src/platform/blobs.ts'
import { openS3Blobs } from '../../src/platform/blobs-s3.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import { addressOf } from '../../src/platform/s3-requests.ts'
import { contentOf, filesIn, inBucket, newKey, quick, temporaryFolder } from '../support/blobs.ts'
import type { S3Fault } from '../support/s3.ts'

const large = randomBytes(12 * 1024 * 1024)
const sha256 = createHash('sha256').update(large).digest('hex')

t.test('what is large goes up in parts, and comes back', async (t) => {
  const { s3, store } = await inBucket(t)
  const blobs = createBlobs(store)
  const key = newKey()
  await blobs.put(key, large)
  t.equal(s3.requests.filter((request) => /^PUT .*partNumber=\d&uploadId=/.test(request)).length, 3)
  t.equal(s3.uploads.size, 0)
  t.ok((await contentOf(blobs, key, sha256)).equals(large))
})

t.test('an upload in parts that fails leaves none, and one that is given up is given up in the bucket too', async (t) => {
  const { s3, store } = await inBucket(t)
  const blobs = createBlobs(store)
  // The list and the start of the upload go well.
  s3.faults.push(null, null, ...Array.from({ length: quick.tries }, () => 500))
  await t.rejects(blobs.put(newKey(), large), { name: 'Unavailable', message: /answers 500 InternalError/ })
  t.equal(s3.requests.filter((request) => /^PUT .*partNumber=1/.test(request)).length, quick.tries)
  t.equal(s3.uploads.size, 0)
  t.equal(s3.objects.size, 0)
  t.same(await readdir(store.spool), [])
})

const passing: S3Fault[] = [500, 503, 429, 'hang up', 'cut', 'hang']

t.test('what fails for a moment is tried again, whatever it was', async (t) => {
  for (const fault of passing) {
    const { s3, store } = await inBucket(t, { ...quick, idleMs: fault === 'hang' ? 100 : quick.idleMs })
    const blobs = createBlobs(store)
    const key = newKey()
    // Every second request fails.
    const failing = setFaults(s3.faults, fault)
    const { sha256 } = await blobs.put(key, Buffer.from('x'))
    t.equal((await contentOf(blobs, key, sha256)).toString(), 'x', `${fault}`)
    for await (const blob of blobs.list()) await blobs.remove(blob)
    t.equal(s3.objects.size, 0)
    t.ok(failing() > 0)
  }
})

t.test('what was done and whose answer was lost is done once', async (t) => {
  for (const content of [Buffer.from('x'), large]) {
    const { s3, store } = await inBucket(t)
    const blobs = createBlobs(store)
    const key = newKey()
    const lost = setFaults(s3.lostAnswers, 'hang up')
    const { sha256 } = await blobs.put(key, content)
    t.ok((await contentOf(blobs, key, sha256)).equals(content))
    t.equal(s3.objects.size, 1)
    t.ok(lost() > 0)
  }
})

t.test('an error under the cover of a 200 is an error', async (t) => {
  const { s3, store } = await inBucket(t)
  const key = newKey()
  await createBlobs(store).put(key, Buffer.from('x'))
  const later = createBlobs(store, () => Date.now() + FRESH_MS + 1)
  // The list, the header, the copy.
  s3.faults.push(null, null, 'error in 200', 'error in 200')
  await later.put(key, Buffer.from('x'))
  t.equal(s3.objects.size, 2)
})

t.test('a store that is away, or says nothing, is unavailable after some tries', async (t) => {
  const folder = await temporaryFolder(t)
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const { s3 } = await inBucket(t)
  const patience = { ...quick, tries: 2, idleMs: 50 }
  const away = openS3Blobs({ ...s3.settings, endpoint: 'http://127.0.0.1:1' }, folder, patience)
  const mute = openS3Blobs({ ...s3.settings, endpoint: `http://127.0.0.1:${port}` }, folder, patience)
  for (const store of [away, mute]) {
    const blobs = createBlobs(store)
    await t.rejects(blobs.put(newKey(), Buffer.from('x')), {
      name: 'Unavailable',
      message: /^The blob store at 127\.0\.0\.1:\d+ cannot be reached\.$/,
    })
    await t.rejects(blobs.get(newKey(), sha256), Unavailable, 'which is not missing')
    await t.rejects(blobs.check(), Unavailable)
    blobs.close()
  }
})

t.test('wrong settings are a fault that says what to mend, and never mean that a blob is missing', async (t) => {
  const { s3, store } = await inBucket(t)
  await createBlobs(store).check()
  const wrong: [object, RegExp][] = [
    [{ accessKeyId: 'other' }, /answers 403 InvalidAccessKeyId: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/],
    [{ secretAccessKey: 'other' }, /answers 403 SignatureDoesNotMatch: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/],
    [{ bucket: 'no-such' }, /The bucket no-such answers 404 NoSuchBucket: make it, or name another one in BLOBS_URL/],
    [{ region: 'elsewhere' }, /answers 400 AuthorizationHeaderMalformed: check region \(now elsewhere\) and endpoint in BLOBS_URL/],
  ]
  for (const [settings, message] of wrong) {
    const blobs = createBlobs(openS3Blobs({ ...s3.settings, ...settings }, store.spool, quick))
    await t.rejects(blobs.check(), { name: 'Fault', message })
    await t.rejects(blobs.put(newKey(), Buffer.from('x')), { name: 'Unavailable', message })
    await t.rejects(blobs.get(newKey(), sha256), { name: 'Unavailable', message })
    await t.rejects(blobs.remove({ path: 'x' }), { name: 'Unavailable', message })
    await t.rejects(openS3Blobs({ ...s3.settings, ...settings }, store.spool, quick).read('x', 0, 1), { name: 'Unavailable', message })
    blobs.close()
  }
})

t.test('a bucket is addressed by its own host at Amazon, and by a path elsewhere', async (t) => {
  const at = { region: 'eu-central-1' }
  t.equal(addressOf({ bucket: 'crm', ...at }), 'https://crm.s3.eu-central-1.amazonaws.com')
  t.equal(addressOf({ bucket: 'crm.example', ...at }), 'https://s3.eu-central-1.amazonaws.com/crm.example')
  t.equal(addressOf({ bucket: 'crm', ...at, endpoint: 'http://minio:9000' }), 'http://minio:9000/crm')
  const { s3, store } = await inBucket(t)
  await createBlobs(store).put(newKey(), Buffer.from('x'))
  t.match([...s3.objects.keys()], [/^crm\/blobs\/[0-9a-f-]{36}\/[0-9a-f-]{54}$/])
})

t.test('the settings choose the bucket or the folder', async (t) => {
  const { s3 } = await inBucket(t)
  const { bucket, region, endpoint, accessKeyId, secretAccessKey } = s3.settings
  const folder = await temporaryFolder(t)
  const key = newKey()
  const url = { BLOBS_URL: `s3://${bucket}/from/settings?region=${region}&endpoint=${encodeURIComponent(endpoint)}` }
  const inTheBucket = openBlobs(
    readConfig({ SMARTCRM_DATA: folder, ...url, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }),
  )
  t.teardown(() => inTheBucket.close())
  await inTheBucket.put(key, Buffer.from('x'))
  t.match([...s3.objects.keys()], [new RegExp(`^from/settings/${key.id}/`)])
  const inTheFolder = openBlobs(readConfig({ SMARTCRM_DATA: folder }))
  await inTheFolder.put(key, Buffer.from('x'))
  t.equal((await filesIn(`${folder}/blobs`)).size, 1)
})

t.test('who does not sign gets nothing', async (t) => {
  const { s3, store } = await inBucket(t)
  await createBlobs(store).put(newKey(), Buffer.from('x'))
  const [key] = s3.objects.keys()
  const answer = await fetch(`${s3.settings.endpoint}/${s3.settings.bucket}/${key}`)
  t.equal(answer.status, 403)
})

/** Lets every second request fail. @returns how many did, and ends it */
function setFaults(faults: (S3Fault | null)[], fault: S3Fault): () => number {
  let asked = 0
  let failed = 0
  faults.shift = () => {
    asked += 1
    if (asked % 2 === 0) return undefined
    failed += 1
    return fault
  }
  return () => failed
}
