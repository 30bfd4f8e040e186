import type { Config } from '../config.ts'
import { Fault } from '../platform/fault.ts'
import type { Services } from '../services.ts'

/** For commands that work on the servers themselves, as a role does. @throws Fault when the settings do not name them, or they are not SmartCRM's */
export async function withServices<T>(config: Config, work: (services: Services) => Promise<T>): Promise<T> {
  const { databaseUrl, eventStoreUrl, dataFolder } = config
  if (!databaseUrl || !eventStoreUrl) {
    throw new Fault(
      'Set EVENTSTORE_URL and DATABASE_URL. Where `smartcrm start` runs its own servers, give it the settings EVENTSTORE_PORT and POSTGRES_PORT: ' +
        'these are then esdb://127.0.0.1:EVENTSTORE_PORT?tls=false and ' +
        `postgres://postgres:PASSWORD@127.0.0.1:POSTGRES_PORT/smartcrm, with the password in ${dataFolder}/postgres/password.`,
    )
  }
  const [{ openServices }, { createLogger }] = await Promise.all([import('../services.ts'), import('../platform/log.ts')])
  const services = await openServices({ ...config, databaseUrl, eventStoreUrl }, createLogger('silent', 'command line')).catch((cause) => {
    if (cause instanceof Fault) throw cause
    throw new Fault(`The vault cannot be opened (${cause.message || cause.code}): is DATABASE_URL that of a running SmartCRM?`, { cause })
  })
  try {
    return await work(services)
  } finally {
    await services.close()
  }
}
