import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { projections } from '../../projections/index.ts'
import type { Config } from '../config.ts'
import { migrate } from '../platform/database.ts'
import { holdLease } from '../platform/lease.ts'
import type { Logger } from '../platform/log.ts'
import { createProjector } from '../platform/projector.ts'
import { createTables, tableNames } from '../platform/read-tables.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { openServices } from '../services.ts'
import { connected } from './connected.ts'
import { isSupervised, type Running } from './role.ts'

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
  const lease = holdLease({ pool, log, owner: ownerOf(config), tables: tableNames(projections) }, projector.lead)
  return {
    async close() {
      // What is being written is written to its end before the connections go.
      await lease.close()
      await services.close()
    },
  }
}

/** Below a supervisor there is one projector a data folder, so one that was killed is known to be gone, and its lease need not run out first. */
const OWNERS = '5c1f3b52-0f0e-4b60-9d58-3a1f5d0c9b7e'
const ownerOf = ({ dataFolder }: Config) => (isSupervised() ? uuidv5(JSON.stringify([hostname(), dataFolder]), OWNERS) : randomUUID())
