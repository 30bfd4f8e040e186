import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Stops the Postgres that an earlier process of ours left behind when it was killed, so that a new one can have the cluster.
 * A `postmaster.pid` whose process is gone, or is something else now that the number was given again, is taken away:
 * Postgres would refuse to start for the second.
 * @param cluster Postgres's data directory; the caller holds the lock that keeps other processes of ours from it
 */
export async function stopOrphan(cluster: string): Promise<'stopped' | 'none'> {
  const pid = readPid(cluster)
  if (pid === null) return 'none'
  if (!isPostmaster(pid, cluster)) {
    rmSync(join(cluster, 'postmaster.pid'), { force: true })
    return 'none'
  }
  await stop(pid, () => isPostmaster(pid, cluster))
  return 'stopped'
}

/**
 * Ends a Postgres: at first by breaking its sessions off and writing everything down ("fast"), after 6 s at once, which its next start
 * recovers from ("immediate"). Both lose nothing that was committed.
 */
export async function stop(pid: number, isRunning: () => boolean): Promise<void> {
  for (const [signal, seconds] of [
    ['SIGINT', 6],
    ['SIGQUIT', 2],
    ['SIGKILL', 2],
  ] as const) {
    if (isRunning()) process.kill(pid, signal)
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await delay(20)) if (!isRunning()) return
  }
}

function readPid(cluster: string): number | null {
  try {
    return Number.parseInt(readFileSync(join(cluster, 'postmaster.pid'), 'utf8'), 10) || null
  } catch {
    return null
  }
}

/** Whether that process is the Postgres of this very cluster. A Postgres stays in its data directory; a dead but unreaped one is nowhere. */
function isPostmaster(pid: number, cluster: string): boolean {
  try {
    if (process.platform !== 'linux') return execFileSync('ps', ['-o', 'command=', '-p', `${pid}`], { encoding: 'utf8' }).includes(cluster)
    const isPostgres = basename(readlinkSync(`/proc/${pid}/exe`)).startsWith('postgres')
    return isPostgres && readlinkSync(`/proc/${pid}/cwd`) === realpathSync(cluster)
  } catch {
    return false
  }
}
