import { createHash } from 'node:crypto'
import t from 'tap'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { testApi } from '../support/api.ts'
import { finished, results, upload } from '../support/imports.ts'
import { madeUpMbox, OWN_ADDRESS } from '../support/made-up-mail.ts'

const api = await testApi(t)
t.teardown((await runWorker(api.config, createLogger(process.env['TEST_LOG'] ?? 'silent', 'worker'))).close)
const whole = (pieces: Iterable<Buffer>) => Buffer.concat([...pieces])

t.test('an mbox goes in, message by message', async (t) => {
  const file = whole(madeUpMbox(700))
  const { body, headers } = await upload(api, file, [OWN_ADDRESS.toUpperCase()])
  t.equal(headers.get('location'), `/v1/jobs/${body.jobId}`)
  t.match(body, { kind: 'mbox', known: false, sizeBytes: file.length, sha256: createHash('sha256').update(file).digest('hex') })
  const done = await finished(api, body.id)
  t.match(done, { state: 'finished', done: 700, readBytes: file.length, me: [OWN_ADDRESS], fault: null, fileName: 'a file.mbox' })
  t.strictSame(done.counts, { stored: 700, known: 0, created: 0, updated: 0, unchanged: 0, failed: 0 })
  const all = await results(api, body.id)
  t.strictSame(
    all.map(({ index }) => index),
    Array.from({ length: 700 }, (_, index) => index),
  )
  t.equal(new Set(all.map(({ emailId }) => emailId)).size, 700)
})
