import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export type Ended = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }

/**
 * Starts a program of ours as a process of its own, so that its exit code and its output are real.
 * @param env all the settings that it has; beside them it is told only where programs are, and where compiled code is kept
 */
export function startProgram(
  args: readonly string[],
  { env, cwd }: { env: NodeJS.ProcessEnv; cwd?: string },
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, args, { env: { ...own, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  return { child, ended: ended.then(([[code, signal], stdout, stderr]) => ({ code, signal, stdout, stderr })) }
}

const { PATH, NODE_COMPILE_CACHE } = process.env
const own = { PATH, ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }) }
