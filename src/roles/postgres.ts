import { join } from 'node:path'
import type { Config } from '../config.ts'
import { startPostgres } from '../platform/embedded-postgres.ts'
import type { Logger } from '../platform/log.ts'
import { freePort } from '../platform/ports.ts'
import type { Running } from './role.ts'

/** The embedded Postgres, in the data folder. */
export async function run(config: Config, log: Logger): Promise<Running> {
  const postgres = await startPostgres({ dir: join(config.dataFolder, 'postgres'), port: config.postgresPort || (await freePort()), log })
  return { url: postgres.url, ended: postgres.exited, close: postgres.close }
}
