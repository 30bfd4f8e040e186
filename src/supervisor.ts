import http from 'node:http'
import https from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import { type Config, environment, isBelowNpm } from './config.ts'
import { lockOf, openDataFolder } from './data-folder.ts'
import { connectMailbox } from './demo/connect.ts'
import { openDemo } from './demo/demo.ts'
import { keepStandIns, type StandIns } from './demo/stand-ins.ts'
import { demoWelcome } from './demo/welcome.ts'
import { MASTER_KEY_MADE, masterKeySource } from './master-key.ts'
import { openPool } from './platform/database.ts'
import { Fault } from './platform/fault.ts'
import { tryLock, waitForLock } from './platform/folder-lock.ts'
import { endGracefully } from './platform/graceful-end.ts'
import { createLogger, type Logger } from './platform/log.ts'
import { foundMasterKeys } from './platform/master-keys.ts'
import { migrate } from './platform/migrate.ts'
import { checkPort, checkReachable, freePort } from './platform/ports.ts'
import { roleProcesses } from './role-processes.ts'
import { roles } from './roles/role.ts'

/**
 * Runs all of SmartCRM, each role in a process of its own. Returns when everything is ready; it then goes on until a signal.
 * @throws Fault when it cannot start
 */
export async function supervise(config: Config): Promise<void> {
  const { dataFolder, host } = config
  const log = createLogger(config.logLevel, 'supervisor')
  await openDataFolder(dataFolder)
  await takeFolder(dataFolder)
  const demo = await openDemo(config)
  if (config.port !== 0) {
    await checkReachable(config.port, 'PORT')
    await checkPort(host, config.port, 'PORT')
  }
  const port = config.port || (await freePort(host))

  const url = `${config.tlsCertFile ? 'https' : 'http'}://${reachable(host)}:${port}`
  // Ports are chosen here, once, so that a role that is started again is found where it was.
  const env: NodeJS.ProcessEnv = {
    ...environment(),
    SMARTCRM_DATA: dataFolder,
    SMARTCRM_DEMO: '',
    PORT: `${port}`,
    POSTGRES_PORT: `${config.postgresPort || (await freePort())}`,
    EVENTSTORE_PORT: `${config.eventStorePort || (await freePort())}`,
    ...(demo && { SMARTCRM_ADMIN_KEY: config.adminKey ?? demo.adminKey }),
  }
  let standIns: StandIns | undefined
  let apiKey: string | undefined
  const faults = new Set<string>()
  const processes = roleProcesses({ env, log, onApiKey: (key) => (apiKey = key), onFault })
  const close = async () => {
    await processes.stop()
    await standIns?.stop()
    if (apiKey) console.log(`API key (shown once: keep it): ${apiKey}`)
  }
  const atOnce = () => {
    processes.kill()
    standIns?.kill()
  }
  const { end } = endGracefully({ log, close, atOnce, timeoutSeconds: 10, withParent: isBelowNpm() })
  if (demo) {
    standIns = await keepStandIns(demo, { folder: dataFolder, publicUrl: url, log })
    Object.assign(env, standIns.env)
  }

  const [databaseUrl, eventStoreUrl] = await Promise.all([
    config.databaseUrl ?? processes.keep('postgres'),
    config.eventStoreUrl ?? processes.keep('eventstore'),
  ])
  Object.assign(env, { DATABASE_URL: databaseUrl, EVENTSTORE_URL: eventStoreUrl })
  await migrate(databaseUrl!, log).catch((error) => {
    throw new Fault(
      `Postgres (${config.databaseUrl ? 'DATABASE_URL' : 'embedded'}) could not be brought up to date: ${error.message || error.code}.`,
    )
  })
  const madeFile = await foundVault({ ...config, databaseUrl: databaseUrl! }, log)
  await Promise.all([processes.keep('api'), processes.keep('projector'), processes.keep('worker')])
  await untilReady(url)
  if (demo) await connectMailbox(url, env['SMARTCRM_ADMIN_KEY']!)
  console.log(demo ? demoWelcome({ url, dataFolder, apiKey: env['SMARTCRM_ADMIN_KEY']! }) : welcome({ url, dataFolder, apiKey, madeFile }))
  apiKey = undefined

  // Several roles may meet the same one.
  function onFault(sentence: string) {
    if (!faults.has(sentence)) console.error(sentence)
    faults.add(sentence)
    end(1)
  }
}

/** One SmartCRM a folder. What a killed one left is ending by itself: that is waited for. */
async function takeFolder(folder: string): Promise<void> {
  if (!tryLock(lockOf(folder, 'supervisor'))) {
    throw new Fault(`SmartCRM already runs on ${folder}: stop that one, or set SMARTCRM_DATA to another folder.`)
  }
  const end = Date.now() + 10_000
  for (const role of roles) {
    const lock = await waitForLock(lockOf(folder, role), (end - Date.now()) / 1000)
    if (!lock) throw new Fault(`Another SmartCRM uses ${folder} (its ${role} runs): stop it, or set SMARTCRM_DATA to another folder.`)
    lock.release()
  }
}

/** Before the roles that need it, so that a master key that does not fit is said once. @returns the file of the master key when it was made just now */
async function foundVault(config: Config & { databaseUrl: string }, log: Logger): Promise<string | undefined> {
  let made: string | undefined
  const pool = openPool(config.databaseUrl, log, 1)
  const source = masterKeySource(config, (file) => (made = file))
  await foundMasterKeys(pool, source).finally(() => pool.close())
  return made
}

/** The address for this machine of one that may mean all its addresses. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

/** Asks our own process, so whose name its certificate bears does not matter. */
async function untilReady(url: string): Promise<void> {
  const { get } = url.startsWith('https:') ? https : http
  const isReady = () =>
    new Promise<boolean>((resolve) => {
      const request = get(`${url}/readyz`, { rejectUnauthorized: false, timeout: 5_000 }, (answer) => {
        answer.resume()
        resolve(answer.statusCode === 200)
      })
      request.on('timeout', () => request.destroy()).on('error', () => resolve(false))
    })
  while (!(await isReady())) await delay(100)
}

type Ready = { url: string; dataFolder: string; apiKey: string | undefined; madeFile: string | undefined }

/** What a person needs to go on. */
const welcome = ({ url, dataFolder, apiKey, madeFile }: Ready): string => `
SmartCRM is ready.

  Address   ${url}   (read and try the API: ${url}/reference)
  Data      ${dataFolder}
${apiKey ? `  API key   ${apiKey}   (shown once: keep it)\n` : ''}${madeFile ? `  Key file  ${madeFile}\n            ${MASTER_KEY_MADE.replaceAll('. ', '.\n            ')}\n` : ''}
  Try       curl ${url}/v1/contacts -H 'Authorization: Bearer ${apiKey ?? 'YOUR_API_KEY'}'
  Stop      Ctrl-C
`
