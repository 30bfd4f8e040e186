import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { adminKey, testApi } from '../support/api.ts'
import { get, results } from '../support/imports.ts'
import { madeUpMail, madeUpMbox, OWN_ADDRESS } from '../support/made-up-mail.ts'
import { until } from '../support/processes.ts'
import { startProgram } from '../support/programs.ts'

const program = fileURLToPath(new URL('smartcrm-import.ts', import.meta.url))
t.setTimeout(120_000)
const api = await testApi(t)
t.teardown((await runWorker(api.config, createLogger('silent', 'worker'))).close)

const start = (args: string[], env: Record<string, string> = {}) =>
  startProgram([program, 'import', ...args], { env: { SMARTCRM_KEY: adminKey, SMARTCRM_URL: api.url, ...env } })
const run = (args: string[], env?: Record<string, string>) => start(args, env).ended
const whole = (pieces: Iterable<Buffer>) => Buffer.concat([...pieces])
const file = (t: Test, name: string, content: Buffer | string) => join(t.testdir({ [name]: content }), name)

t.test('an mbox is uploaded, waited for and reported', async (t) => {
  const path = file(t, 'all.mbox', whole(madeUpMbox(40, 5)))
  const { code, stdout, stderr } = await run(['--me', OWN_ADDRESS, path])
  t.equal(code, 0, stderr)
  t.match(stdout, /all\.mbox: 40 mails: 40 stored, 0 known, 0 failed \(import [0-9a-f-]{36}\)/)
  const again = await run(['--json', '--me', OWN_ADDRESS, path])
  t.match(JSON.parse(again.stdout), { files: [{ messages: 40, counts: { stored: 0, known: 40, failed: 0 } }], mails: { known: 40 } })
})

t.test('a folder of mails, contacts beside it, and what cannot be read', async (t) => {
  const mails = Object.fromEntries(Array.from({ length: 7 }, (_, index) => [`${index}.eml`, madeUpMail(index, 6).raw]))
  const folder = t.testdir({
    mails: { ...mails, deep: { 'again.eml': mails['3.eml']!, 'other.eml': madeUpMail(8, 6).raw, 'notes.txt': 'x' } },
    'people.csv': 'Name,Email\nAda,ada@cli.example\n',
  })
  const { code, stdout, stderr } = await run([join(folder, 'mails'), join(folder, 'people.csv')])
  t.equal(stderr.replaceAll(/.*of 9 files\n/g, ''), '')
  t.equal(code, 0)
  t.match(stdout, /people\.csv: 1 rows: 1 created/)
  t.match(stdout, /All mails: 8 stored, 1 known, 0 failed/)
})

t.test('mails that cannot be read are reported with their reasons', async (t) => {
  const bad = `From a@b.example Mon Jan  1 00:00:00 2024\nSubject: parts\nContent-Type: multipart/mixed; boundary=b\n\n${'--b\n\n'.repeat(3_000)}\n`
  const path = file(t, 'bad.mbox', Buffer.concat([whole(madeUpMbox(2, 7)), Buffer.from(bad)]))
  const errors = `${path}.errors.csv`
  const { code, stdout } = await run(['--errors', errors, path])
  t.equal(code, 1)
  t.match(stdout, /3 mails: 2 stored, 0 known, 1 failed/)
  t.match(stdout, /message 3: The mail has more than 2,000 parts/)
  t.match(await readFile(errors, 'utf8'), /bad\.mbox,3,/)
  const dry = await run(['--dry-run', '--json', path], { SMARTCRM_URL: 'http://127.0.0.1:1' })
  t.match(JSON.parse(dry.stdout), { dryRun: true, files: [{ messages: 3, readable: 2, failed: 1, failures: [{ message: 3 }] }] })
})

/** Its import is not over before the command is killed. */
const MANY = 250

t.test('killed and run again, it goes on without a second upload', async (t) => {
  const path = file(t, 'killed.mbox', whole(madeUpMbox(MANY, 8)))
  const { child, ended } = start([path])
  const started = await until('the import', async () => {
    const { body } = await get<{ data: { id: string; sizeBytes: number }[] }>(api, '/v1/imports?limit=1')
    return body.data.find(({ sizeBytes }) => sizeBytes > MANY * 2_000)
  })
  child.kill('SIGKILL')
  await ended
  const { code, stdout } = await run([path])
  t.equal(code, 0)
  t.match(stdout, new RegExp(`${MANY} mails: .* 0 failed \\(import ${started.id}\\)`))
  t.equal((await results(api, started.id)).length, MANY)
})

t.test('wrong calls', async (t) => {
  const path = file(t, 'one.eml', madeUpMail(1, 9).raw)
  const wrong = await run(['--me', 'nobody', path])
  t.match(wrong, { code: 2, stderr: /--me nobody: this is no e-mail address/ })
  t.match(await run([path], { SMARTCRM_KEY: 'wrong-key-0123456789' }), { code: 2, stderr: /does not know the key/ })
})
