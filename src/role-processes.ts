import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { faultExitCode } from './platform/fault.ts'
import { type KeptProcess, keepRunning } from './platform/kept-process.ts'
import type { Logger } from './platform/log.ts'
import { type Role, type RoleMessage, supervisedFlag } from './roles/role.ts'

type Options = {
  /** Of the processes; read anew whenever one is started. */
  env: NodeJS.ProcessEnv
  log: Logger
  onApiKey: (key: string) => void
  /** A role cannot start, for a reason that only a person can mend. */
  onFault: (sentence: string) => void
  /** What is run with the role as its argument; another one for tests. */
  program?: string
}

export type RoleProcesses = {
  /** Starts a role, and again whenever it ends. @returns its address, when it is up for the first time */
  keep(role: Role): Promise<string | undefined>
  /** Ends all, within 10 s. */
  stop(): Promise<void>
  kill(): void
}

/** Who ends together, and by when at the latest, in seconds after the order. Those who write go before what they write to. */
const endings: { together: Role[]; bySeconds: number }[] = [
  { together: ['worker', 'projector', 'api'], bySeconds: 5 },
  { together: ['eventstore'], bySeconds: 7 },
  { together: ['postgres'], bySeconds: 9 },
]

/** Compiled code is kept here from one start to the next, which takes a third off the time that a start takes. */
export const compileCache = join(import.meta.dirname, '../node_modules/.cache/smartcrm')

/**
 * On a large machine V8 lets garbage pile up before it looks, which doubles what a role takes and makes it no faster. glibc does so with an arena a
 * thread, of which a role has ten.
 */
const thrift = ['--max-semi-space-size=4', '--max-old-space-size=768']
/** A projector that builds tables has thousands of events in hand, which outlive a space as small as that: a quarter of its time went into moving them. */
const thriftOf: Partial<Record<Role, string[]>> = { projector: ['--max-semi-space-size=16', '--max-old-space-size=768'] }
const thriftEnv = { MALLOC_ARENA_MAX: '2' }

/** The roles as processes of their own. When this process dies, they notice and end by themselves. */
export function roleProcesses({ env, log, onApiKey, onFault, program = join(import.meta.dirname, 'main.ts') }: Options): RoleProcesses {
  const kept = new Map<Role, KeptProcess>()

  function start(role: Role, onReady: (url?: string) => void) {
    // A process group of its own keeps the terminal's Ctrl-C away from it: in which order all end is for us to say.
    const child = spawn(process.execPath, [...(thriftOf[role] ?? thrift), program, role, supervisedFlag], {
      env: { NODE_COMPILE_CACHE: compileCache, ...thriftEnv, ...env },
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    return child.on('message', (message: RoleMessage) => {
      if (message.type === 'ready') onReady(message.url)
      else if (message.type === 'api-key') onApiKey(message.key)
      else onFault(message.sentence)
    })
  }

  return {
    keep: (role) =>
      new Promise((resolve) => {
        const onEnd = (code: number | null) => code !== faultExitCode
        kept.set(role, keepRunning({ name: role, log, start: () => start(role, resolve), onEnd }))
      }),
    async stop() {
      const began = performance.now()
      for (const { together, bySeconds } of endings) {
        const leftSeconds = Math.max(0, bySeconds - (performance.now() - began) / 1000)
        await Promise.all(together.map((role) => kept.get(role)?.stop(leftSeconds)))
      }
    },
    // Postgres's role has to take Postgres along, so it gets a signal that it can catch.
    kill() {
      for (const [role, process] of kept) process.kill(role === 'postgres' ? 'SIGQUIT' : 'SIGKILL')
    },
  }
}
