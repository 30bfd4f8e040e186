import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../../src/platform/ports.ts'
import { peakMebibytes } from '../../support/memory.ts'

/** Ends all that a bench started, the last first. */
export type Stack = { defer(end: () => unknown): void }

const main = join(import.meta.dirname, '../../../src/main.ts')
/** Without what a test runner puts before every process. `BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=…'` leaves a profile of each. */
const bare = { ...process.env, npm_lifecycle_event: undefined, NODE_OPTIONS: process.env['BENCH_NODE_OPTIONS'] }
export const adminKey = 'a-key-for-benches-0123456789'

export type System = {
  readonly url: string
  readonly folder: string
  readonly databaseUrl: string
  readonly eventStoreUrl: string
  /** Where a role's process says that it is up: waits for it. */
  pid(role: string): Promise<number>
  close(): Promise<void>
}

/**
 * SmartCRM as `npm start` runs it, each role in a process of its own, in a data folder; what it logs goes to a file beside it.
 * @param env servers that it is to use instead of its own
 * @param awaited it is ready when this returns; otherwise it has only begun
 */
export async function startSystem(
  stack: Stack,
  folder: string,
  env: Partial<Record<'DATABASE_URL' | 'EVENTSTORE_URL' | 'SMARTCRM_MASTER_KEY', string>> = {},
  awaited = true,
) {
  const [port, postgresPort, eventStorePort] = [await freePort(), await freePort(), await freePort()]
  const path = `${folder}.${port}.log`
  const log = await open(path, 'w')
  const child = spawn(process.execPath, [main, 'start'], {
    env: {
      ...bare,
      SMARTCRM_DATA: folder,
      SMARTCRM_ADMIN_KEY: adminKey,
      PORT: `${port}`,
      POSTGRES_PORT: `${postgresPort}`,
      EVENTSTORE_PORT: `${eventStorePort}`,
      DATABASE_URL: '',
      EVENTSTORE_URL: '',
      LOG_LEVEL: 'info',
      ...env,
    },
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  })
  await log.close()
  const close = () => stop(child)
  stack.defer(close)
  const line = (pattern: RegExp) =>
    until(`a line like ${pattern} in ${path}`, async () => {
      const text = await readFile(path, 'utf8')
      if (child.exitCode !== null) throw new Error(`SmartCRM ended: ${text.slice(-2_000)}`)
      return text.split('\n').find((line) => pattern.test(line))
    })
  if (awaited) await line(/^ +Stop /)
  const password = env.DATABASE_URL ? '' : (await readFile(join(folder, 'postgres/password'), 'utf8')).trim()
  return {
    url: `http://127.0.0.1:${port}`,
    folder,
    databaseUrl: env.DATABASE_URL ?? `postgres://postgres:${password}@127.0.0.1:${postgresPort}/smartcrm`,
    eventStoreUrl: env.EVENTSTORE_URL ?? `esdb://127.0.0.1:${eventStorePort}?tls=false`,
    pid: async (role) => (JSON.parse(await line(new RegExp(`^{.*"msg":"${role} is up"`))) as { pid: number }).pid,
    close,
  } satisfies System
}

/** A role by itself, on servers that are there. @returns its address */
export async function startRole(stack: Stack, role: string, env: NodeJS.ProcessEnv): Promise<{ url: string; pid: number }> {
  const child = spawn(process.execPath, [main, role], {
    env: { ...bare, LOG_LEVEL: 'info', ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  stack.defer(() => stop(child))
  child.stdout.setEncoding('utf8')
  let text = ''
  for await (const piece of child.stdout) {
    text += piece
    const up = text.split('\n').find((line) => line.includes(`"msg":"${role} is up"`))
    if (!up) continue
    child.stdout.on('data', () => {}).resume()
    return { url: (JSON.parse(up) as { url: string }).url, pid: child.pid! }
  }
  throw new Error(`${role} did not start: ${text}`)
}

export type Worker = { readonly pid: number; ask<T>(message: unknown): Promise<T>; close(): Promise<void> }

/** A module of this folder as a process of its own, which answers one message with one message. What it prints goes to nobody. */
export async function startWorker(stack: Stack, file: string, ...args: string[]): Promise<Worker> {
  const child = fork(join(import.meta.dirname, file), args, { env: bare, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const close = () => stop(child)
  stack.defer(close)
  const answer = async <T>() => {
    const ended = new AbortController()
    const failed = once(child, 'exit', ended).then(([code]) => Promise.reject(new Error(`${file} ended with ${code}`)))
    try {
      return (await Promise.race([once(child, 'message', ended), failed]))[0] as T
    } finally {
      failed.catch(() => {})
      ended.abort()
    }
  }
  await answer()
  return {
    pid: child.pid!,
    ask<T>(message: unknown) {
      child.send(message as object)
      return answer<T>()
    },
    close,
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

export async function until<T>(what: string, look: () => Promise<T>, timeoutMs = 60_000): Promise<NonNullable<T>> {
  for (const end = Date.now() + timeoutMs; Date.now() < end; await delay(20)) {
    const found = await look()
    if (found) return found
  }
  throw new Error(`waited in vain for ${what}`)
}

/** The processor time, in seconds, that a process has used so far; of Postgres, all of its processes. Linux only; 0 elsewhere. */
export async function cpuSeconds(pid: number, family = false): Promise<number> {
  const own = await times(pid)
  if (!family) return own.seconds
  let seconds = own.seconds + own.childrenSeconds
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue
    const child = await times(Number(name))
    if (child.parent === pid) seconds += child.seconds
  }
  return seconds
}

async function times(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = text
    .replace(/^.*\) /, '')
    .split(' ')
    .map(Number)
  const at = (place: number) => (fields[place] ?? 0) / 100
  return { parent: fields[1], seconds: at(11) + at(12), childrenSeconds: at(13) + at(14) }
}

/** The same in seconds of several processes by name, and of Postgres as `postgres`, whose first process is given. */
export async function cpuSecondsOf(processes: Readonly<Record<string, number>>, postmaster: number): Promise<Record<string, number>> {
  const seconds = await Promise.all(Object.entries(processes).map(async ([name, pid]) => [name, await cpuSeconds(pid)] as const))
  return { ...Object.fromEntries(seconds), postgres: await cpuSeconds(postmaster, true) }
}

/** The first process of the Postgres that is in a data folder. */
export const postmasterIn = async (folder: string): Promise<number> =>
  Number.parseInt(await readFile(join(folder, 'postgres/cluster/postmaster.pid'), 'utf8'), 10)

/** Until a query has seen that position. @throws Error when none has within so many seconds */
export async function seen(url: string, position: string, timeoutSeconds: number): Promise<void> {
  const headers = { authorization: `Bearer ${adminKey}`, 'smartcrm-after': position, prefer: 'wait=5' }
  for (const end = Date.now() + timeoutSeconds * 1_000; Date.now() < end; ) {
    const answer = await fetch(`${url}/v1/contacts?limit=1`, { headers }).catch(() => null)
    await answer?.text()
    if (answer?.status === 200) return
    // An answer that says 503 has waited already, unless the service is only starting.
    if (!answer) await delay(20)
  }
  throw new Error(`the tables had not come to ${position} within ${timeoutSeconds} s`)
}

/** The most memory that a process ever had, in MB of 10⁶ bytes. Linux only; 0 elsewhere. */
export const peakMegabytes = async (pid: number): Promise<number> => Math.round((((await peakMebibytes(pid)) ?? 0) * 2 ** 20) / 1e6)
