import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type KeptProcess, keepRunning } from '../../../src/platform/kept-process.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { freePort } from '../../../src/platform/ports.ts'
import type { Role, RoleMessage } from '../../../src/roles/role.ts'
import { supervisedFlag } from '../../../src/roles/role.ts'
import { type MisbehavingProxy, misbehavingProxy } from '../misbehaving-proxy.ts'

const main = join(import.meta.dirname, '../../../src/main.ts')
const compileCache = join(import.meta.dirname, '../../../node_modules/.cache/smartcrm')
export const soakKey = 'a-key-for-soaks-0123456789'

/** One process of the service: what a process manager keeps running, and what can be done to it. */
export type Node = {
  readonly name: string
  readonly role: Role
  /** What its connections go through, by the server that they lead to; of an API also those of its clients, by `clients`. */
  readonly links: Readonly<Record<string, MisbehavingProxy>>
  /** Ends it without a chance to do anything; Postgres's own processes are meant with `postmaster`. */
  kill(signal: 'SIGKILL' | 'SIGTERM', whom?: 'postmaster'): Promise<void>
  /** Stops it in its tracks; Postgres with all of its sessions. */
  freeze(): Promise<void>
  thaw(): void
}

export type Cluster = {
  readonly folder: string
  readonly nodes: readonly Node[]
  /** Where each API is found by its clients. */
  readonly apis: readonly string[]
  readonly databaseUrl: string
  readonly eventStoreUrl: string
  /** The projector that began to lead last. */
  leader(): Node
  /** How often a process was started again. */
  restarts(): number
  close(): Promise<void>
}

type Options = { folder: string; apis?: number; projectors?: number; workers?: number; env?: NodeJS.ProcessEnv }

/**
 * The service as it is run in production, each role a process of its own that is started again when it ends, with proxies before all that listens.
 * What they say is in `logs` in the folder, a file a process.
 */
export async function startCluster({ folder, apis = 2, projectors = 3, workers = 2, env: settings = {} }: Options): Promise<Cluster> {
  const data = join(folder, 'data')
  const logs = join(folder, 'logs')
  await mkdir(logs, { recursive: true })
  const log = createLogger('silent', 'soak')
  const nodes: (Node & { kept: KeptProcess })[] = []
  const teardowns: (() => unknown)[] = []
  const teardown = { teardown: (clear: () => unknown) => teardowns.push(clear) }
  let restarts = -1 - 1 - apis - projectors - workers
  let leader = ''

  const ports = { postgres: await freePort(), eventstore: await freePort() }
  const common = {
    ...process.env,
    NODE_COMPILE_CACHE: compileCache,
    SMARTCRM_DATA: data,
    SMARTCRM_ADMIN_KEY: soakKey,
    POSTGRES_PORT: `${ports.postgres}`,
    EVENTSTORE_PORT: `${ports.eventstore}`,
    DATABASE_URL: '',
    EVENTSTORE_URL: '',
    LOG_LEVEL: 'info',
    // Then it ends when this process does.
    npm_lifecycle_event: 'soak',
    ...settings,
  }

  /** @returns the address that the first of them says it has */
  async function add(name: string, role: Role, links: Node['links'], env: NodeJS.ProcessEnv): Promise<string | undefined> {
    const isKeeper = role === 'postgres' || role === 'eventstore'
    const output = createWriteStream(join(logs, `${name}.log`), { flags: 'a' })
    const up = Promise.withResolvers<string | undefined>()
    let child: ChildProcess | undefined
    let frozen: number[] = []
    const start = () => {
      restarts += 1
      const args = [main, role, ...(isKeeper ? [supervisedFlag] : [])]
      const started = spawn(process.execPath, args, { env: { ...common, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
      child = started
      started.on('message', (message: RoleMessage) => message.type === 'ready' && up.resolve(message.url))
      for (const stream of [started.stdout, started.stderr]) {
        createInterface(stream!).on('line', (line) => {
          output.write(`${line}\n`)
          if (line.includes('"msg":"leading"') && role === 'projector') leader = name
          // A keeper says it by its message, with its address.
          if (!isKeeper && line.includes(`"msg":"${role} is up"`)) up.resolve(undefined)
        })
      }
      return started
    }
    // Short, so that there is something to strike.
    const kept = keepRunning({ name, log, start, onEnd: () => true, longestPauseMs: 1_000 })
    const pid = async (whom?: 'postmaster') => (whom ? postmaster(data).catch(() => undefined) : child?.pid)
    const thaw = () => {
      for (const pid of frozen.splice(0)) signal(pid, 'SIGCONT')
    }
    nodes.push({
      name,
      role,
      links,
      kept,
      async kill(how, whom) {
        thaw()
        const target = await pid(whom)
        if (target) signal(target, how)
      },
      async freeze() {
        const whole = role === 'postgres' ? await postmaster(data).then(withChildren, () => []) : [child!.pid!]
        frozen = [...frozen, ...whole]
        for (const pid of whole) signal(pid, 'SIGSTOP')
      },
      thaw,
    })
    teardowns.push(() => output.end())
    return up.promise
  }

  const proxy = (port: number) => misbehavingProxy(teardown, { port })
  const [databaseUrl, eventStoreUrl] = (await Promise.all([
    add('postgres', 'postgres', {}, {}),
    add('eventstore', 'eventstore', {}, {}),
  ])) as [string, string]
  const connected = async (name: string, role: Role, more: Node['links'] = {}, env: NodeJS.ProcessEnv = {}) => {
    const links = { ...more, postgres: await proxy(ports.postgres), eventstore: await proxy(ports.eventstore) }
    const through = new URL(databaseUrl)
    through.port = `${links.postgres.port}`
    await add(name, role, links, { ...env, DATABASE_URL: through.href, EVENTSTORE_URL: links.eventstore.url })
  }
  const numbered = (count: number, role: Role) => Array.from({ length: count }, (_, index) => `${role}-${index + 1}`)
  const urls: string[] = []
  const starting: Promise<void>[] = []
  for (const name of numbered(apis, 'api')) {
    const port = await freePort()
    const clients = await proxy(port)
    urls.push(`http://127.0.0.1:${clients.port}`)
    starting.push(connected(name, 'api', { clients }, { PORT: `${port}` }))
  }
  for (const name of numbered(projectors, 'projector')) starting.push(connected(name, 'projector'))
  for (const name of numbered(workers, 'worker')) starting.push(connected(name, 'worker'))
  await Promise.all(starting)

  const stop = (roles: readonly Role[]) => Promise.all(nodes.filter(({ role }) => roles.includes(role)).map(({ kept }) => kept.stop(10)))
  const killAll = () => {
    for (const { thaw, kept } of nodes) {
      thaw()
      kept.kill('SIGKILL')
    }
  }
  process.once('exit', killAll)
  return {
    folder,
    nodes,
    apis: urls,
    databaseUrl,
    eventStoreUrl,
    leader: () => nodes.find(({ name }) => name === leader)!,
    restarts: () => restarts,
    async close() {
      for (const { thaw } of nodes) thaw()
      await stop(['api', 'projector', 'worker'])
      await stop(['eventstore', 'postgres'])
      for (const clear of teardowns.reverse()) await clear()
      process.off('exit', killAll)
    },
  }
}

const postmaster = async (data: string): Promise<number> =>
  Number.parseInt(await readFile(join(data, 'postgres/cluster/postmaster.pid'), 'utf8'), 10)

/** Linux alone tells this so; elsewhere the postmaster alone is frozen, which only keeps new sessions out. */
async function withChildren(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return [pid, ...children.split(' ').filter(Boolean).map(Number)]
}

/** It may have ended meanwhile. */
function signal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {}
}
