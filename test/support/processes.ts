import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

type Teardown = { teardown(clear: () => unknown): void }

export type Started = {
  child: ChildProcess
  /** What it has printed so far. */
  lines: string[]
  /** The first line that matches, once it is there. @throws when the process ends before */
  line(pattern: RegExp): Promise<string>
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>
}

/** Starts a program with the Node that we run on. A test that ends takes it along, by its process group if it has one of its own. */
export function startNode(
  t: Teardown,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string; detached?: boolean } = {},
): Started {
  const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  const ended = new Promise<number | NodeJS.Signals>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal!)))
  for (const output of [child.stdout, child.stderr]) createInterface(output).on('line', (line) => lines.push(line))
  t.teardown(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    return ended
  })
  return {
    child,
    lines,
    ended,
    line: (pattern) =>
      until(`a line like ${pattern}`, () => {
        const line = lines.find((line) => pattern.test(line))
        if (line === undefined && child.exitCode !== null) throw new Error(`ended without a line like ${pattern}:\n${lines.join('\n')}`)
        return line
      }),
  }
}

/**
 * Waits until something is there, and true. It looks less often the longer it waits: to look again and again takes the time of what is waited for.
 * @throws when it has waited in vain; a minute is far beyond what most things here take
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  seconds = 60,
): Promise<Exclude<T, undefined | null | false | '' | 0>> {
  const began = Date.now()
  for (let waited = 0; waited < seconds * 1000; waited = Date.now() - began) {
    const found = await look()
    if (found) return found as Exclude<T, undefined | null | false | '' | 0>
    await delay(Math.min(20 + waited / 20, 200))
  }
  throw new Error(`waited in vain for ${what}`)
}

/** Whether there is such a process, and not only its zombie: nobody may be there to clear up after an orphan's end. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return !/\) [ZX] /.test(status)
}
