import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { createApp } from '../app.ts'
import type { Config } from '../config.ts'
import { eraseBeforeServing } from '../erasure/at-start.ts'
import { logFirstKeys } from '../keys/keep.ts'
import { ANSWER_MS } from '../platform/database.ts'
import { Fault } from '../platform/fault.ts'
import type { ServerOptions } from '../platform/http/server.ts'
import type { Logger } from '../platform/log.ts'
import { migrate } from '../platform/migrate.ts'
import { listenFault } from '../platform/ports.ts'
import { watchPosition } from '../platform/position-watch.ts'
import { keepResubscriptions } from '../platform/resubscriptions.ts'
import { openServices } from '../services.ts'
import { version } from '../version.ts'
import { connected } from './connected.ts'
import { type Running, tellSupervisor } from './role.ts'

/** @throws Fault when a file of it cannot be read */
function tlsOf({ tlsCertFile, tlsKeyFile }: Config): ServerOptions['tls'] {
  if (!tlsCertFile || !tlsKeyFile) return undefined
  const read = (name: string, file: string) => {
    try {
      return readFileSync(file)
    } catch (error) {
      throw new Fault(`${name}: ${(error as Error).message}. Name a file that can be read.`)
    }
  }
  const tls = { cert: read('TLS_CERT_FILE', tlsCertFile), key: read('TLS_KEY_FILE', tlsKeyFile) }
  try {
    createSecureContext(tls)
  } catch (error) {
    throw new Fault(`TLS_CERT_FILE and TLS_KEY_FILE are no certificate with its key (${(error as Error).message}).`)
  }
  return tls
}

/** So many connections wait to be accepted, where the machine allows it: whoever finds no room tries again a second later, then three, then seven. */
const BACKLOG = 4_096

/** The HTTP API. */
export async function run(config: Config, log: Logger): Promise<Running> {
  const urls = connected(config)
  const tls = tlsOf(config)
  await migrate(urls.databaseUrl, log)
  const services = await openServices(urls, log, ANSWER_MS)
  const watch = await watchPosition(services.pool, log)
  const { server, keys, setClosing } = await createApp({
    services,
    tables: watch,
    adminKey: config.adminKey,
    rateLimits: config.rateLimits,
    atOnce: config.atOnce,
    origins: config.origins,
    tls,
    cacheBytes: config.cacheMebibytes * 2 ** 20,
    version,
    log,
  })
  const { pool, store } = services
  const keeping = keepResubscriptions({ pool, log, role: 'api', counts: store.resubscriptions })
  const close = async () => {
    setClosing()
    keeping.close()
    await server.close()
    await watch.close()
    await services.close()
  }
  try {
    await eraseBeforeServing(services, log)
    const key = await keys.makeFirst()
    // It opens all the same; the next start tells the log then.
    await logFirstKeys(services).catch((err) => log.warn({ err }, 'the log could not be told of the first API key'))
    const url = await server.listen({ host: config.host, port: config.port, backlog: BACKLOG })
    if (key && !tellSupervisor({ type: 'api-key', key })) console.log(`API key (shown once): ${key}`)
    return { url, close }
  } catch (error) {
    await close()
    throw listenFault(error, config.host, config.port, 'PORT') ?? error
  }
}
