import { chmod, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startNode, until } from './support/processes.ts'
import * as tls from './support/tls.ts'
import { main, ownEnvironment, startWhole } from './support/whole.ts'

/*
 * The whole, as a person starts it, ended in every way there is. The tests follow each other on one data folder, so that each also
 * shows that what the one before did to it has lost nothing.
 */
// Where Postgres's user may go, which the checkout may not be.
const folder = await mkdtemp(join(tmpdir(), 'smartcrm-start-'))
await chmod(folder, 0o755)
t.setTimeout(300_000)
t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
const data = join(folder, 'data')
const roles = ['postgres', 'eventstore', 'api', 'projector', 'worker']

let key: string | undefined
/** Contacts whose creation was acknowledged. */
const acknowledged: string[] = []

t.test('the first start says where it is, where the data is, and an API key that works', async (t) => {
  const service = await start(t)
  t.ok(service.lines.some((line) => line.includes(service.url)))
  t.ok(service.lines.some((line) => line.trim().startsWith('Data') && line.endsWith(data)))
  const said = service.lines.join(' ')
  t.match(said, `Key file  ${join(data, 'master.key')}`)
  t.match(said, /Keep a copy of it, and never with the backups/)
  key = /API key +(\S+)/.exec(service.lines.find((line) => /API key/.test(line)) ?? '')?.[1]
  t.ok(key)
  t.equal((await fetch(`${service.url}/readyz`)).status, 200)
  t.equal((await fetch(`${service.url}/v1/contacts`)).status, 401)
  await service.create()
  await service.readAll()

  service.child.kill('SIGTERM')
  t.equal(await service.ended, 0)
  t.strictSame(await service.left(), [], 'SIGTERM ends all of it')
})

t.test('with a certificate it is served over TLS, and known to be ready', async (t) => {
  const files = t.testdir({ 'cert.pem': tls.cert, 'key.pem': tls.key })
  const service = await startWhole(t, folder, { TLS_CERT_FILE: join(files, 'cert.pem'), TLS_KEY_FILE: join(files, 'key.pem') })
  const port = new URL(service.url).port
  t.ok(service.lines.some((line) => line.includes(`https://127.0.0.1:${port}`)))
  const status = await new Promise((resolve, reject) => {
    get({ host: 'localhost', port, path: '/readyz', ca: tls.cert }, (answer) => resolve(answer.resume().statusCode)).on('error', reject)
  })
  t.equal(status, 200)
  service.child.kill('SIGTERM')
  t.equal(await service.ended, 0)
})

t.test('the next start finds everything, and shows no key', async (t) => {
  const service = await start(t)
  t.notOk(service.lines.some((line) => /API key|Key file|master key/.test(line)))
  await service.readAll()

  await t.test('a role that is killed is started again, and nothing is lost', async () => {
    for (const role of roles) {
      const writing = service.writeUntilTold()
      await until('some writes', () => writing.done() > 3)
      const [before] = service.pids(role).slice(-1)
      process.kill(before!, 'SIGKILL')
      await until(`another ${role}`, () => service.pids(role).at(-1) !== before)
      const then = writing.done()
      await until(`writes after the end of ${role}`, () => writing.done() > then + 3)
      await writing.stop()
      await service.readAll()
    }
    const postmaster = await service.postmaster()
    process.kill(postmaster, 'SIGKILL')
    await until('another Postgres', async () => (await service.postmaster().catch(() => postmaster)) !== postmaster)
    await service.readAll()
  })

  await t.test('a second one on the same data, or on a port in use, says so in one sentence', async (t) => {
    const same = startNode(t, [main, 'start'], { cwd: folder, env: { ...ownEnvironment, SMARTCRM_DATA: data, PORT: '0' } })
    t.equal(await same.ended, 1)
    t.strictSame(same.lines, [`SmartCRM already runs on ${data}: stop that one, or set SMARTCRM_DATA to another folder.`])

    const port = new URL(service.url).port
    const other = startNode(t, [main, 'start'], {
      cwd: folder,
      env: { ...ownEnvironment, SMARTCRM_DATA: join(folder, 'other'), PORT: port },
    })
    t.equal(await other.ended, 1)
    t.strictSame(other.lines, [`Port ${port} of 127.0.0.1 is in use: stop what listens there, or set PORT to another port.`])
    await service.readAll()
  })

  await t.test('after kill -9 of the supervisor the rest ends by itself, and a start right after finds everything', async (t) => {
    const writing = service.writeUntilTold()
    await until('some writes', () => writing.done() > 3)
    service.child.kill('SIGKILL')
    const next = start(t)
    await until('the end of the old ones', async () => (await service.left()).length === 0)
    await writing.stop()
    const again = await next
    await again.readAll()

    const writingAgain = again.writeUntilTold()
    await until('some writes', () => writingAgain.done() > 3)
    await again.killAll()
    await writingAgain.stop()
  })
})

t.test('after kill -9 of everything, too; Ctrl-C ends it', async (t) => {
  const service = await start(t)
  await service.readAll()
  // As a terminal's Ctrl-C does it, with npm passing on what it gets, too.
  process.kill(-service.child.pid!, 'SIGINT')
  service.child.kill('SIGINT')
  t.equal(await service.ended, 0)
  t.strictSame(await service.left(), [], 'Ctrl-C ends all of it')
  t.notMatch(service.lines.join('\n'), /did not end in time|longer than/)
})

t.test('what several roles find wrong is said once', async (t) => {
  const wrong = { SMARTCRM_DATA: data, PORT: '0', LOG_LEVEL: 'silent', SMARTCRM_MASTER_KEY: '00'.repeat(32) }
  const service = startNode(t, [main, 'start'], { cwd: folder, env: { ...ownEnvironment, ...wrong } })
  t.equal(await service.ended, 1)
  t.match(service.lines, [/^The master key from SMARTCRM_MASTER_KEY .* does not open this vault/])
  t.equal(service.lines.length, 1)
})

t.test('so is a master key that is lost, and none is made in its place', async (t) => {
  const file = join(data, 'master.key')
  await rename(file, `${file}.elsewhere`)
  const service = startNode(t, [main, 'start'], {
    cwd: folder,
    env: { ...ownEnvironment, SMARTCRM_DATA: data, PORT: '0', LOG_LEVEL: 'silent' },
  })
  t.equal(await service.ended, 1)
  t.match(service.lines, [/master\.key is missing, .* Put back your copy of it, or set SMARTCRM_MASTER_KEY/])
  t.equal(service.lines.length, 1)
  await rename(`${file}.elsewhere`, file)
})

t.test('a port to which no browser connects is one sentence', async (t) => {
  const service = startNode(t, [main, 'start'], { cwd: folder, env: { ...ownEnvironment, SMARTCRM_DATA: data, PORT: '6666' } })
  t.equal(await service.ended, 1)
  t.strictSame(service.lines, [
    'Browsers and most programs open no connection to port 6666 (https://fetch.spec.whatwg.org/#port-blocking): set PORT to another port.',
  ])
})

t.test('what is wrong with the settings is listed, without a stack', async (t) => {
  const wrong = startNode(t, [main, 'start'], { cwd: folder, env: { ...ownEnvironment, PORT: 'x', LOG_LEVEL: 'loud' } })
  t.equal(await wrong.ended, 1)
  t.strictSame(wrong.lines, [
    'PORT has to be a port: a whole number from 0 to 65535.',
    'LOG_LEVEL has to be one of trace, debug, info, warn, error, fatal, silent.',
  ])
})

t.test('a role alone says which servers it needs', async (t) => {
  const api = startNode(t, [main, 'api'], { cwd: folder, env: ownEnvironment })
  t.equal(await api.ended, 1)
  t.match(api.lines, [/EVENTSTORE_URL and DATABASE_URL\. Set them, or/])
  t.equal(api.lines.length, 1)
})

t.test('the command says its version and its commands', async (t) => {
  const command = join(import.meta.dirname, '../src/smartcrm.js')
  const { version } = JSON.parse(await readFile(join(import.meta.dirname, '../package.json'), 'utf8'))
  const asked = startNode(t, [command, '--version'], { cwd: folder })
  t.equal(await asked.ended, 0)
  t.strictSame(asked.lines, [version])
  const help = startNode(t, [command, '--help'], { cwd: folder })
  t.equal(await help.ended, 0)
  for (const name of ['start', 'api', 'projector', 'worker', 'eventstore', 'import'])
    t.match(help.lines.join('\n'), new RegExp(`^  ${name}\\b`, 'm'))
})

/** The whole, with what these tests ask of it. */
async function start(t: Test) {
  const started = await startWhole(t, folder)
  const { url } = started
  const ask = (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    return fetch(`${url}/v1${path}`, { ...init, headers, signal: AbortSignal.timeout(10_000) })
  }
  async function create(): Promise<void> {
    const answer = await ask('/contacts', { method: 'POST', body: JSON.stringify({ name: `Contact ${acknowledged.length}` }) })
    const { id } = (await answer.json()) as { id: string }
    if (answer.status !== 201) throw new Error(`answered ${answer.status}`)
    acknowledged.push(id)
  }
  return {
    ...started,
    create,
    /** Waits until every contact that was ever acknowledged is listed. */
    async readAll() {
      const missing = new Set(acknowledged)
      await until('all contacts', async () => {
        for (let cursor = ''; ; ) {
          const answer = await ask(`/contacts?limit=200${cursor}`).catch(() => null)
          if (!answer?.ok) return false
          const { data, nextCursor } = (await answer.json()) as { data: { id: string }[]; nextCursor: string | null }
          for (const { id } of data) missing.delete(id)
          if (nextCursor === null) return missing.size === 0
          cursor = `&cursor=${encodeURIComponent(nextCursor)}`
        }
      })
    },
    /** Creates contacts, one after the other. What fails because something was killed is not acknowledged, and tried again. */
    writeUntilTold() {
      let done = 0
      let told = false
      const writing = (async () => {
        while (!told) {
          await create().then(
            () => done++,
            () => {},
          )
          await delay(20)
        }
      })()
      const stop = () => {
        told = true
        return writing
      }
      return { done: () => done, stop }
    },
  }
}
