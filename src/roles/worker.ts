import type { Config } from '../config.ts'
import { migrate } from '../platform/database.ts'
import { startHeartbeat } from '../platform/heartbeat.ts'
import type { Logger } from '../platform/log.ts'
import { openServices } from '../services.ts'
import { connected } from './connected.ts'
import type { Running } from './role.ts'

/** Does what has to be done by itself: so far, the heartbeat. */
export async function run(config: Config, log: Logger): Promise<Running> {
  const urls = connected(config)
  await migrate(urls.databaseUrl, log)
  const services = await openServices(urls, log)
  const heartbeat = startHeartbeat(services.store, services.codec, log)
  return {
    async close() {
      heartbeat.close()
      await services.close()
    },
  }
}
