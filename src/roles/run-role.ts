import { type Config, isBelowNpm, shareEnvironment } from '../config.ts'
import { lockOf, openDataFolder } from '../data-folder.ts'
import { Fault, faultExitCode } from '../platform/fault.ts'
import { waitForLock } from '../platform/folder-lock.ts'
import { endGracefully } from '../platform/graceful-end.ts'
import { createLogger, type Logger } from '../platform/log.ts'
import { version } from '../version.ts'
import { isSupervised, type Role, type RoleMessage, type Running, roles, tellSupervisor } from './role.ts'

/** Those whom the data folder's files belong to: never two on one folder, and the last to end. */
const keepers: Role[] = ['postgres', 'eventstore']

/**
 * Runs a role until it is told to end: by a signal, by an error that nobody caught, or by its supervisor's going away.
 * @throws what kept it from starting, when no supervisor is there to be told
 */
export async function runRole(role: Role, config: Config): Promise<void> {
  const log = createLogger(config.logLevel, role)
  const starting = start(role, config, log)
  const close = async () => (await starting.catch(() => null))?.close()
  const { end, isEnding } = endGracefully({ log, close, timeoutSeconds: 9, withParent: isBelowNpm() && !isSupervised() })
  // The supervisor may be gone before the role is up.
  if (isSupervised()) process.once('disconnect', () => void afterOthers(role, config.dataFolder).then(() => end()))
  try {
    const { url, ended } = await starting
    void ended?.then(() => {
      if (isEnding()) return
      log.error(`${role} ended by itself`)
      process.exit(1)
    })
    tellSupervisor({ type: 'ready', ...(url && { url }) })
    log.info({ url: url?.replace(/\/\/.*@/, '//') }, `${role} is up`)
  } catch (error) {
    if (!isSupervised()) throw error
    if (!(error instanceof Fault)) {
      log.fatal({ err: error }, `${role} did not start`)
      process.exit(1)
    }
    process.send?.({ type: 'fault', sentence: error.message } satisfies RoleMessage, () => process.exit(faultExitCode))
  }
}

async function start(role: Role, config: Config, log: Logger): Promise<Running> {
  if (isSupervised() || keepers.includes(role)) await holdFolder(role, config.dataFolder)
  const tracing = await startTracing(role, config, log)
  const { run }: { run: (config: Config, log: Logger) => Promise<Running> } = await import(`./${role}.ts`)
  const running = await run(config, log)
  const close = () => running.close().finally(tracing?.close)
  return { ...running, close }
}

/** Traces, if they are asked for: nobody else pays for the code that makes them. */
async function startTracing(role: Role, config: Config, log: Logger) {
  if (!config.tracesUrl || config.tracesDisabled || keepers.includes(role)) return null
  shareEnvironment('OTEL_')
  const { startTracing } = await import('../platform/tracing-sdk.ts')
  return startTracing({ service: `smartcrm-${role}`, version, sampler: config.tracesSampler, ratio: config.tracesRatio, log })
}

async function holdFolder(role: Role, folder: string): Promise<void> {
  await openDataFolder(folder)
  // The one before may still be on its way out.
  if (await waitForLock(lockOf(folder, role), 10)) return
  throw new Fault(`Another SmartCRM uses ${folder} (its ${role} runs): stop it, or set SMARTCRM_DATA to another folder.`)
}

/** When the supervisor is gone, those who write end first, so that they can; the keepers wait for them, but not long. */
async function afterOthers(role: Role, folder: string): Promise<void> {
  if (!keepers.includes(role)) return
  const end = Date.now() + 4000
  for (const other of roles.slice(roles.indexOf(role) + 1)) {
    const lock = await waitForLock(lockOf(folder, other), (end - Date.now()) / 1000)
    lock?.release()
  }
}
