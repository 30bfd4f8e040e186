import { once } from 'node:events'
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'csv-parse/sync'
import t, { type Test } from 'tap'
import { startProgram } from '../support/programs.ts'
import { batchEndpoint, type Intercept } from './batch-endpoint.ts'

const program = fileURLToPath(new URL('smartcrm-import.ts', import.meta.url))

const start = (args: string[], env: Record<string, string>) =>
  startProgram([program, 'import', ...args], { env: { SMARTCRM_KEY: 'test-key', ...env } })
const run = (args: string[], env: Record<string, string> = {}) => start(args, env).ended

async function service(t: Test, intercept?: Intercept) {
  const endpoint = await batchEndpoint(intercept)
  t.teardown(endpoint.close)
  return { ...endpoint, env: { SMARTCRM_URL: endpoint.url } }
}

const people = (count: number, from = 0) =>
  `Name,Email,Company\n${Array.from({ length: count }, (_, at) => `Person ${from + at},person${from + at}@example.com,"Company, ${'long '.repeat(8)}${at % 7}"`).join('\n')}\n`

const files = (t: Test, contents: Record<string, string>) => {
  const folder = t.testdir(contents)
  return Object.keys(contents).map((name) => join(folder, name))
}

t.test('contacts are sent in batches of 500, in order, under one import id, and it returns when they can be read', async (t) => {
  const { env, calls, batches, contacts, position } = await service(t)
  const [file = ''] = files(t, { 'people.csv': people(1201) })
  const { code, stdout } = await run([file], env)
  t.equal(code, 0)
  t.match(stdout, /people\.csv: 1201 rows: 1201 created, 0 updated, 0 unchanged, 0 failed/)
  t.equal(contacts.size, 1201)
  t.same(
    batches().map(({ inputs }) => inputs.length),
    [500, 500, 201],
  )
  t.equal(batches()[1]?.inputs[0]?.name, 'Person 500')
  const importId = batches()[0]?.headers['x-correlation-id']
  t.match(importId, /^[0-9a-f]{8}-[0-9a-f]{4}-5/)
  t.same(
    batches().map(({ headers }) => headers['idempotency-key']),
    [0, 1, 2].map((index) => `${importId}-${index}`),
  )
  t.match(stdout, String(importId))
  t.match(calls.at(-1), { method: 'GET', path: '/v1/contacts?limit=1', headers: { 'smartcrm-after': position(), prefer: 'wait=30' } })
})

t.test('the same files again change nothing, and a changed one updates what it changes', async (t) => {
  const { env } = await service(t)
  const [csv = '', vcf = ''] = files(t, {
    'people.csv': people(3),
    'cards.vcf': 'BEGIN:VCARD\nVERSION:3.0\nFN:Mae\nTEL:555-0100\nEND:VCARD\n',
  })
  t.match(await run([csv, vcf], env), { code: 0, stdout: /All files: 4 created, 0 updated, 0 unchanged, 0 failed/ })
  t.match(await run([csv, vcf], env), { code: 0, stdout: /All files: 0 created, 0 updated, 4 unchanged, 0 failed/ })
  writeFileSync(csv, people(3).replace('Person 1', 'Somebody'))
  t.match(await run([csv, vcf], env), { code: 0, stdout: /All files: 0 created, 1 updated, 3 unchanged, 0 failed/ })
})

t.test('rows that fail are told with line and reason, the first twenty on screen and all in the errors file', async (t) => {
  const { env } = await service(t)
  const refused = Array.from({ length: 25 }, (_, at) => `=Bad ${at},bad${at}@refused.example,\n`).join('')
  const [file = '', errors = ''] = files(t, { 'people.csv': `${people(1)}too,few\n${refused}`, 'errors.csv': '' })
  const { code, stdout } = await run([file, '--errors', errors], env)
  t.equal(code, 1)
  t.match(stdout, /27 rows: 1 created, 0 updated, 0 unchanged, 26 failed/)
  t.match(stdout, /line 3: The row has 2 cells, but the header has 3 columns\./)
  t.match(stdout, /line 4: The address is refused\. \/methods\/0\/value: has to be another one/)
  t.match(stdout, /line 22: .*\n {2}… and 6 more; all are in .*errors\.csv/)
  const [header, ...rows] = parse(readFileSync(errors, 'utf8')) as string[][]
  t.same(header, ['file', 'line', 'reason', 'input'])
  t.equal(rows.length, 26)
  t.same(
    rows[1],
    [file, '4', 'The address is refused. /methods/0/value: has to be another one', "'=Bad 0,bad0@refused.example,"],
    'no formula for a spreadsheet',
  )
})

t.test('--json prints the report and nothing else', async (t) => {
  const { env, position } = await service(t)
  const [file = ''] = files(t, { 'people.csv': `${people(2)}Bad,bad@refused.example,\n` })
  const { code, stdout, stderr } = await run([file, '--json'], env)
  t.equal(code, 1)
  t.equal(stderr, '')
  t.match(JSON.parse(stdout), {
    dryRun: false,
    files: [{ file, rows: 3, counts: { created: 2, failed: 1 }, failures: [{ line: 4, reason: /refused/ }] }],
    total: { created: 2, updated: 0, unchanged: 0, failed: 1 },
    position: position(),
  })
})

t.test('--dry-run says what would be sent, and needs no service and no key', async (t) => {
  const [csv = '', vcf = ''] = files(t, {
    'people.csv': `${people(2).replace('Company', 'Shoe size')}too,few\n`,
    'cards.vcf': 'BEGIN:VCARD\nVERSION:3.0\nFN:Mae\nEND:VCARD\n',
  })
  const { code, stdout } = await run([csv, vcf, '--dry-run'], { SMARTCRM_KEY: '', SMARTCRM_URL: 'http://127.0.0.1:1' })
  t.equal(code, 1)
  t.match(stdout, /^Dry run: nothing was sent/)
  t.match(
    stdout,
    /people\.csv: 2 contacts would be sent, 1 rows cannot be read\.\n {2}columns used: Name, Email\n {2}columns not used: Shoe size\n {2}line 4: /,
  )
  t.match(stdout, /cards\.vcf: 1 contacts would be sent, 0 rows/)
  const asJson = await run([vcf, '--dry-run', '--json'])
  t.match(asJson, { code: 0, stderr: '' })
  t.match(JSON.parse(asJson.stdout), { dryRun: true, files: [{ file: vcf, contacts: 1, failed: 0 }] })
})

t.test('a busy service, a cut connection and a lost answer are tried again, and nothing is applied twice', async (t) => {
  let tries = 0
  const { env, contacts, batches } = await service(t, ({ method }, response, applied) => {
    if (method !== 'POST') return false
    if (!applied) tries++
    if (tries === 1) return !!response.writeHead(503, { 'retry-after': '0' }).end()
    if (tries === 2) return !!response.writeHead(429, { 'retry-after': new Date(0).toUTCString() }).end()
    if (tries === 3) return !!response.destroy()
    if (tries === 4 && applied) return !!response.destroy()
    return false
  })
  const [file = ''] = files(t, { 'people.csv': people(10) })
  const { code, stdout, stderr } = await run([file], env)
  t.equal(code, 0)
  t.match(stdout, /10 rows: 0 created, 0 updated, 10 unchanged, 0 failed/, 'the answer that got lost said that they were created')
  t.match(stderr, /waiting for the service at .*: it answers 503/)
  t.equal(contacts.size, 10)
  t.equal(new Set(batches().map(({ headers }) => headers['idempotency-key'])).size, 1)
})

t.test(
  'a contact that could not be written just now is sent again with its batch; one that broke the service is a failed row',
  async (t) => {
    let tries = 0
    const { env, batches } = await service(t, ({ method }, response, applied) => {
      if (method !== 'POST' || !applied || tries++ > 0) return false
      const results = [
        { status: 503, outcome: 'failed', problem: { detail: 'Busy.' } },
        { status: 500, outcome: 'failed', problem: { detail: 'Broken.' } },
        { status: 201, outcome: 'created' },
      ]
      return !!response.writeHead(207).end(JSON.stringify({ results }))
    })
    const [file = ''] = files(t, { 'people.csv': people(3) })
    t.match(await run([file], env), { code: 1, stdout: /1 created, 0 updated, 1 unchanged, 1 failed .*\n {2}line 3: Broken\./ })
    t.equal(batches().length, 2)
  },
)

t.test('a service that stays away is given up with what to do', async (t) => {
  const { env } = await service(t, (_, response) => !!response.writeHead(503, { 'retry-after': '1' }).end())
  const [file = ''] = files(t, { 'people.csv': people(1) })
  const busy = await run([file], { ...env, PATIENCE_SECONDS: '0.5' })
  t.match(busy, { code: 1, stderr: /Given up: .*it answers 503.*run the same command again: it goes on where it stopped/ })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  const away = await run([file, '--json'], { SMARTCRM_URL: `http://127.0.0.1:${port}`, PATIENCE_SECONDS: '0.5' })
  t.match(away, { code: 1, stderr: '' })
  t.match(JSON.parse(away.stdout), { error: /connection refused/, total: { created: 0 } })
})

t.test('what is written but cannot be read yet is said', async (t) => {
  const { env } = await service(t, ({ method }, response) => method === 'GET' && !!response.writeHead(503, { 'retry-after': '1' }).end())
  const [file = ''] = files(t, { 'people.csv': people(1) })
  t.match(await run([file], { ...env, PATIENCE_SECONDS: '0.5' }), {
    code: 1,
    stdout: /1 created/,
    stderr: /Everything is written, but it could not be read/,
  })
})

t.test('a wrong call ends with 2 and one clear sentence, and sends nothing', async (t) => {
  const { env, batches, url } = await service(t)
  const [file = '', unknown = ''] = files(t, { 'people.csv': people(1), 'unknown.csv': 'alpha,beta\n1,2\n' })
  const missing = `${file}.missing`
  t.match(await run([], env), { code: 2, stderr: /missing required argument/ })
  t.match(await run([file, '--wrong'], env), { code: 2, stderr: /unknown option/ })
  t.match(await run([file, missing, unknown], env), {
    code: 2,
    stderr: /missing: There is no such file\.\n.*unknown\.csv: None of its columns .*alpha, beta.*--map/,
  })
  t.match(await run([file, '--map', 'Name=shoe'], env), { code: 2, stderr: /there is no field "shoe"/ })
  t.match(await run([file, '--encoding', 'klingon'], env), { code: 2, stderr: /no known encoding/ })
  t.match(await run([file, '--errors', join(file, 'errors.csv')], env), { code: 2, stderr: /errors file cannot be written/ })
  t.match(await run([file], { ...env, SMARTCRM_KEY: '' }), { code: 2, stderr: /Set SMARTCRM_KEY/ })
  t.match(await run([file], { ...env, SMARTCRM_URL: 'http://127.0.0.1:6666' }), {
    code: 2,
    stderr: /no connection to the port of http:.*:6666/,
  })
  t.same(batches(), [])
  t.match(await run([file], { ...env, SMARTCRM_KEY: 'wrong' }), {
    code: 2,
    stderr: `The service at ${url} does not know the key in SMARTCRM_KEY (401).`,
  })
})

t.test('a key that may not, a service that is none, and a refused batch are said', async (t) => {
  const [file = ''] = files(t, { 'people.csv': people(1) })
  const answers: [number, string, object][] = [
    [403, '{}', { code: 2, stderr: /may not do this at .* \(403\)/ }],
    [404, '', { code: 2, stderr: /no SmartCRM service/ }],
    [200, '<html>', { code: 2, stderr: /did not answer as SmartCRM does/ }],
    [308, '', { code: 2, stderr: /is elsewhere now/ }],
    [422, '{"detail":"The key was used for another body."}', { code: 1, stderr: /\(422\): The key was used for another body\./ }],
  ]
  for (const [status, body, expected] of answers) {
    const { env } = await service(t, (_, response) => !!response.writeHead(status, { location: '/x' }).end(body))
    t.match(await run([file], env), expected, String(status))
  }
})

t.test('after kill -9 in the middle, the same command goes on where it stopped', async (t) => {
  let held: (() => void) | undefined
  const holding = new Promise<void>((resolve) => {
    held = resolve
  })
  let kill = true
  const { env, contacts, batches } = await service(t, (call, _, applied) => {
    if (!kill || !applied || !String(call.headers['idempotency-key']).endsWith('-1')) return false
    held?.()
    return true // never answered: the second batch is written, but the import does not know
  })
  const [file = ''] = files(t, { 'people.csv': people(1300) })
  const first = start([file], env)
  await holding
  first.child.kill('SIGKILL')
  t.match(await first.ended, { code: null, signal: 'SIGKILL' })
  t.equal(contacts.size, 1000)
  kill = false
  t.match(await run([file], env), { code: 0, stdout: /1300 rows: 300 created, 0 updated, 1000 unchanged, 0 failed/ })
  t.equal(contacts.size, 1300)
  const sent = batches().map(({ headers }) => headers['idempotency-key'])
  t.same(sent.slice(2), [sent[0], sent[1], sent[4]], 'the same commands again')
})

t.test('a file that is changed while it is imported is noticed', async (t) => {
  const [file = ''] = files(t, { 'people.csv': people(5000) })
  let changed = false
  const { env } = await service(t, () => {
    if (!changed) appendFileSync(file, people(1, 9000).split('\n')[1] ?? '')
    changed = true
    return false
  })
  t.match(await run([file], env), { code: 1, stderr: /was changed while it was imported/ })
})

const sample = fileURLToPath(new URL('../../../shared/data/contacts/contacts.csv', import.meta.url))
t.test(
  'the 500 contacts of the sample go in, once',
  { skip: existsSync(sample) ? false : '../shared/data/contacts/contacts.csv is not here' },
  async (t) => {
    const { env } = await service(t)
    t.match(await run([sample], env), { code: 0, stdout: /500 created, 0 updated, 0 unchanged, 0 failed/ })
    t.match(await run([sample], env), { code: 0, stdout: /0 created, 0 updated, 500 unchanged, 0 failed/ })
  },
)
