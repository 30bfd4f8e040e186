import { execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { startPostgres } from '../src/platform/embedded-postgres.ts'
import { createLogger } from '../src/platform/log.ts'
import { freePort } from '../src/platform/ports.ts'
import { postgresFault } from '../src/platform/postgres-fault.ts'
import { isAlive, startNode, until } from './support/processes.ts'

const log = createLogger('silent', 'test')
const isRoot = process.getuid?.() === 0

/** One cluster for the tests that only start and stop it, since making one is most of the time. */
const shared = await temporaryFolder(t)

t.test('the first start makes a cluster, and later ones find in it what was written', async (t) => {
  const dir = join(shared, 'postgres')
  const first = await start(t, dir)
  const [settings] = await query(
    first.url,
    `select current_database() as database, current_setting('server_encoding') as encoding, current_setting('data_checksums') as checksums,
      current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit, current_setting('listen_addresses') as addresses,
      lower('ÄÖ') as lower`,
  )
  t.strictSame(settings, {
    database: 'smartcrm',
    encoding: 'UTF8',
    checksums: 'on',
    fsync: 'on',
    commit: 'on',
    addresses: '127.0.0.1',
    lower: 'äö',
  })
  await query(first.url, 'create table kept (id int)')
  await query(first.url, 'insert into kept values (7)')
  await first.close()

  const second = await start(t, dir)
  t.strictSame(await query(second.url, 'select id from kept'), [{ id: 7 }])
  t.equal(new URL(second.url).password, new URL(first.url).password)
})

t.test('its password is needed, and is in a file that only its user reads', async (t) => {
  const { url } = await start(t, join(shared, 'postgres'))
  t.equal((await stat(join(shared, 'postgres/password'))).mode & 0o777, 0o600)
  const wrong = new URL(url)
  wrong.password = 'guessed'
  await t.rejects(query(wrong.href, 'select 1'), { code: '28P01' })
})

t.test('other machines cannot reach it', async (t) => {
  const { url } = await start(t, join(shared, 'postgres'))
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)
  if (!outside) return t.comment('this machine has no other address')
  const fromOutside = new URL(url)
  fromOutside.hostname = outside.address
  await t.rejects(query(fromOutside.href, 'select 1'), { code: 'ECONNREFUSED' })
})

t.test('what a process killed with -9 leaves running is stopped, and nothing committed is lost', async (t) => {
  const dir = join(shared, 'postgres')
  const { child, line, ended } = holder(t, dir)
  const [, url, pid] = /^up (\S+) (\d+)$/.exec(await line(/^up /)) ?? []
  await query(url!, 'create table committed as select 1 as id')
  child.kill('SIGKILL')
  await ended
  t.ok(await isAlive(Number(pid)), 'the orphan goes on')

  const { url: again } = await start(t, dir)
  t.notOk(await isAlive(Number(pid)), 'and is gone now')
  t.strictSame(await query(again, 'select id from committed'), [{ id: 1 }])
})

t.test('a killed Postgres recovers, even while sessions of it are dying', async (t) => {
  const dir = join(shared, 'postgres')
  const first = await start(t, dir)
  await query(first.url, 'create table recovered as select 2 as id')
  const sessions = await Promise.all(Array.from({ length: 5 }, () => connect(first.url)))
  process.kill(first.pid, 'SIGKILL')
  await first.exited
  const second = await start(t, dir)
  t.strictSame(await query(second.url, 'select id from recovered'), [{ id: 2 }])
  await Promise.allSettled(sessions.map((session) => session.end()))
})

t.test('a process that merely has the number of an earlier Postgres is let alone', async (t) => {
  const dir = join(shared, 'postgres')
  await (await start(t, dir)).close()
  const { child, line } = startNode(t, ['-e', 'console.log("here"); setInterval(() => {}, 1000)'])
  await line(/here/)
  await writeFile(join(dir, 'cluster/postmaster.pid'), `${child.pid}\n${join(dir, 'cluster')}\n1\n1\n\n127.0.0.1\n1 1\nready\n`)
  await start(t, dir)
  t.ok(await isAlive(child.pid!))
})

t.test('a process that exits takes it along', async (t) => {
  const { child, line, ended } = holder(t, join(shared, 'postgres'))
  const pid = Number(/ (\d+)$/.exec(await line(/^up /))?.[1])
  child.kill('SIGTERM')
  t.equal(await ended, 3)
  await until('its end', async () => !(await isAlive(pid)))
})

t.test('a port in use is one sentence', async (t) => {
  const server = createServer()
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  )
  t.teardown(() => server.close())
  await t.rejects(startPostgres({ dir: join(shared, 'postgres'), port, log }), {
    name: 'Fault',
    message: `Port ${port} of 127.0.0.1 is in use: stop what listens there, or set POSTGRES_PORT to another port.`,
  })
})

t.test('data of another major version is one sentence', async (t) => {
  const dir = join(await temporaryFolder(t), 'postgres')
  await mkdir(join(dir, 'cluster'), { recursive: true })
  await writeFile(join(dir, 'cluster/PG_VERSION'), '17\n')
  await t.rejects(startPostgres({ dir, port: 1, log }), {
    name: 'Fault',
    message: /is of Postgres 17, and this SmartCRM comes with Postgres 18: /,
  })
})

t.test('a cluster that was not finished is made anew', async (t) => {
  const dir = join(await temporaryFolder(t), 'postgres')
  await mkdir(join(dir, 'cluster.new-1234/base'), { recursive: true })
  await writeFile(join(dir, 'cluster.new-1234/PG_VERSION'), '18\n')
  const { url } = await start(t, dir)
  t.strictSame(await query(url, 'select 1 as one'), [{ one: 1 }])
  t.strictSame((await readdir(dir)).sort(), ['cluster', 'password'])
})

t.test('without the password file, the sentence says what to put back', async (t) => {
  const dir = join(shared, 'postgres')
  const password = await readFile(join(dir, 'password'))
  const { uid, gid } = await stat(join(dir, 'password'))
  await rm(join(dir, 'password'))
  await t.rejects(startPostgres({ dir, port: 1, log }), { name: 'Fault', message: /password.*ENOENT.*backup/ })
  await writeFile(join(dir, 'password'), password, { mode: 0o600 })
  await chown(join(dir, 'password'), uid, gid)
})

t.test('as root, a folder that its user may not enter is named', { skip: !isRoot && 'needs root' }, async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'home'), { mode: 0o700 })
  await t.rejects(startPostgres({ dir: join(folder, 'home/data/postgres'), port: 1, log }), {
    name: 'Fault',
    message: `As root, Postgres is run as the user postgres, who may not enter ${folder}/home: set SMARTCRM_DATA to a folder outside it, for example /var/lib/smartcrm, or start SmartCRM as another user.`,
  })
})

t.test('a full disk is one sentence', { skip: !canMount() && 'needs a small disk, which only root can make' }, async (t) => {
  const disk = await temporaryFolder(t)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m,mode=755', 'tmpfs', disk])
  t.teardown(() => execFileSync('umount', [disk]))
  await t.rejects(startPostgres({ dir: join(disk, 'postgres'), port: await freePort(), log }), {
    name: 'Fault',
    message: `The disk that holds ${disk}/postgres is full: make room there, then start again.`,
  })
})

t.test('what Postgres says of a fault that a person can mend becomes a sentence', async (t) => {
  const sentence = (output: string) => postgresFault(output, { dir: '/data', port: 5 })?.message
  t.match(sentence('FATAL:  could not write lock file "postmaster.pid": No space left on device'), /^The disk that holds \/data is full/)
  t.match(sentence('FATAL:  could not open file: Read-only file system'), /^\/data can only be read/)
  t.match(sentence('FATAL:  data directory "x" has wrong ownership: Permission denied'), /^Postgres may not use \/data/)
  t.equal(sentence('FATAL:  the moon is full'), undefined)
})

/** A process that starts Postgres, says so, and exits on SIGTERM without closing it. */
function holder(t: Tap, dir: string) {
  const program = `
    import { startPostgres } from './src/platform/embedded-postgres.ts'
    import { createLogger } from './src/platform/log.ts'
    import { freePort } from './src/platform/ports.ts'
    process.on('SIGTERM', () => process.exit(3))
    const { url, pid } = await startPostgres({ dir: ${JSON.stringify(dir)}, port: await freePort(), log: createLogger('silent', 'test') })
    console.log('up', url, pid)`
  return startNode(t, ['--input-type=module', '-e', program], { cwd: join(import.meta.dirname, '..') })
}

type Tap = { teardown(clear: () => unknown): void }

async function start(t: Tap, dir: string) {
  const postgres = await startPostgres({ dir, port: await freePort(), log })
  t.teardown(() => postgres.close())
  return postgres
}

/** Deleted after the test. The user postgres may enter it. */
async function temporaryFolder(t: Tap): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-postgres-'))
  await chmod(folder, 0o755)
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function query(url: string, statement: string): Promise<object[]> {
  const client = await connect(url)
  return client.query(statement).then(
    ({ rows }) => client.end().then(() => rows),
    (error) => client.end().then(() => Promise.reject(error)),
  )
}

function canMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()], { stdio: 'ignore' })
    return isRoot
  } catch {
    return false
  }
}
