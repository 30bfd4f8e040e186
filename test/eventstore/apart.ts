import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

export type Apart = { url: string; port: number; child: ChildProcess; kill(): Promise<void>; stop(): Promise<number | null> }

/** An embedded node in a process of its own, which a test may kill. */
export async function startApart(file: string, options: { port?: number; env?: NodeJS.ProcessEnv } = {}): Promise<Apart> {
  const child = fork(new URL('./node-process.ts', import.meta.url), [file, String(options.port ?? 0)], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let complaint = ''
  child.stderr!.on('data', (chunk) => (complaint += chunk))
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve(String(message)))
    child.once('exit', (code) => reject(new Error(`The node ended with ${code}: ${complaint}`)))
  })
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const ended = once(child, 'exit')
    child.kill(signal)
    return (await ended)[0] as number | null
  }
  return {
    url,
    port: Number(new URL(url.replace('esdb', 'http')).port),
    child,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  }
}
