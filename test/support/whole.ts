import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../src/platform/ports.ts'
import { isAlive, startNode, until } from './processes.ts'

type Teardown = { teardown(clear: () => unknown): void }

export const main = join(import.meta.dirname, '../../src/main.ts')
/** No settings but those that a test gives. */
export const ownEnvironment = { ...process.env, DATABASE_URL: '', EVENTSTORE_URL: '', npm_lifecycle_event: undefined }
const roles = ['postgres', 'eventstore', 'api', 'projector', 'worker']

/**
 * The whole SmartCRM as a person starts it, ready. The test that started it leaves nothing of it running.
 * @param env with a DATABASE_URL it has no Postgres of its own, which saves a third of the start
 */
export async function startWhole(t: Teardown, folder: string, env: NodeJS.ProcessEnv = {}) {
  const data = join(folder, 'data')
  const port = await freePort()
  const started = startNode(t, [main, 'start'], {
    cwd: folder,
    env: { ...ownEnvironment, SMARTCRM_DATA: data, PORT: `${port}`, ...env },
    detached: true,
  })
  const { lines } = started
  // Asked for again and again while it grows: each line is read once.
  const known: { pid: number; name: string; msg?: string }[] = []
  let read = 0
  const records = () => {
    for (; read < lines.length; read += 1) if (lines[read]!.startsWith('{')) known.push(JSON.parse(lines[read]!))
    return known
  }
  const pids = (role: string) => records().flatMap(({ name, pid, msg }) => (name === role && msg === `${role} is up` ? [pid] : []))
  const postmaster = async () => Number.parseInt(await readFile(join(data, 'postgres/cluster/postmaster.pid'), 'utf8'), 10)
  let server: number | undefined
  const left = async () => {
    const all = [...new Set([...records().map(({ pid }) => pid), ...(server ? [server] : [])])]
    const alive = await Promise.all(all.map(isAlive))
    return all.filter((_, index) => alive[index])
  }
  t.teardown(async () => {
    if (started.child.exitCode === null) started.child.kill('SIGTERM')
    await until('the end of all processes', async () => (await left()).length === 0)
  })
  await started.line(/^ +Stop /)
  if (!env['DATABASE_URL']) server = await postmaster()
  return {
    ...started,
    url: `http://127.0.0.1:${port}`,
    /** The processes that have had this role, in order. */
    pids,
    postmaster,
    /** The address of its database. */
    async database() {
      const [, , , port] = (await readFile(join(data, 'postgres/cluster/postmaster.pid'), 'utf8')).split('\n')
      const password = await readFile(join(data, 'postgres/password'), 'utf8')
      return `postgres://postgres:${password.trim()}@127.0.0.1:${port}/smartcrm`
    },
    /** Those of its processes that still live. */
    left,
    /** `kill -9` of every process there is. */
    async killAll() {
      const all = [started.child.pid!, ...roles.flatMap((role) => pids(role).slice(-1)), await postmaster()]
      for (const pid of all) process.kill(pid, 'SIGKILL')
      await until('the end of all processes', async () => (await left()).length === 0)
    },
  }
}
