import type { Config } from '../config.ts'
import { Fault } from '../platform/fault.ts'
import type { Connected } from '../services.ts'

/** The config of a role that works with both servers. @throws Fault when one of them is not named, which only `smartcrm start` may leave open */
export function connected(config: Config): Connected {
  const { databaseUrl, eventStoreUrl } = config
  if (databaseUrl && eventStoreUrl) return { ...config, databaseUrl, eventStoreUrl }
  const missing = [!eventStoreUrl && 'EVENTSTORE_URL', !databaseUrl && 'DATABASE_URL'].filter(Boolean)
  throw new Fault(
    `This role, run alone, needs ${missing.join(' and ')}. Set ${missing.length > 1 ? 'them' : 'it'}, or use \`smartcrm start\`, which brings its own servers.`,
  )
}
