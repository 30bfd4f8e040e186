import { randomUUID } from 'node:crypto'
import { projections } from '../../projections/index.ts'
import type { Config } from '../config.ts'
import { migrate } from '../platform/database.ts'
import { holdLease } from '../platform/lease.ts'
import type { Logger } from '../platform/log.ts'
import { createProjector } from '../platform/projector.ts'
import { createTables, tableNames } from '../platform/read-tables.ts'
import { openServices } from '../services.ts'
import { connected } from './connected.ts'
import type { Running } from './role.ts'

/** Folds the log into the read tables; where several run, one does and the others stand by. */
export async function run(config: Config, log: Logger): Promise<Running> {
  const urls = connected(config)
  await migrate(urls.databaseUrl, log)
  const services = await openServices(urls, log)
  const { pool, store, codec } = services
  try {
    await createTables(pool, projections, log)
  } catch (error) {
    await services.close()
    throw error
  }
  const projector = createProjector({
    pool,
    projections,
    log,
    subscribe: (after, signal) => store.subscribe({ after, signal }),
    decode: codec.decode,
  })
  const lease = holdLease({ pool, log, owner: randomUUID(), tables: tableNames(projections) }, projector.lead)
  return {
    async close() {
      // What is being written is written to its end before the connections go.
      await lease.close()
      await services.close()
    },
  }
}
