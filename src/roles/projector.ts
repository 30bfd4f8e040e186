import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { projections } from '../../projections/index.ts'
import { allEvents } from '../../schema/events.ts'
import type { Config } from '../config.ts'
import type { Logger } from '../platform/log.ts'
import { migrate } from '../platform/migrate.ts'
import type { Position } from '../platform/position.ts'
import { leadProjections } from '../platform/projections/lead.ts'
import { keepResubscriptions } from '../platform/resubscriptions.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { keepWitness } from '../platform/witness.ts'
import { openServices } from '../services.ts'
import { connected } from './connected.ts'
import { isSupervised, type Running } from './role.ts'

/** Folds the log into the read tables, and keeps a witness of it; where several run, one does and the others stand by. */
export async function run(config: Config, log: Logger): Promise<Running> {
  const urls = connected(config)
  await migrate(urls.databaseUrl, log)
  const services = await openServices(urls, log)
  const { pool, store, codec } = services
  const source = {
    ...store,
    decode: codec.decode,
    subscribe: (after: Position | null, signal: AbortSignal) => store.subscribe({ after, signal }),
  }
  const declared = new Set(Object.keys(allEvents))
  const owner = ownerOf(config)
  const snapshots = { count: config.snapshots, bytes: config.snapshotsMebibytes * 2 ** 20 }
  const leading = leadProjections({ pool, log, source, projections, declared, owner, snapshots })
  const witness = keepWitness({ pool, log, subscribe: source.subscribe, owner })
  const keeping = keepResubscriptions({ pool, log, role: 'projector', counts: store.resubscriptions })
  return {
    async close() {
      keeping.close()
      // What is being written is written to its end before the connections go.
      await Promise.all([leading.close(), witness.close()])
      await services.close()
    },
  }
}

/** Below a supervisor there is one projector a data folder, so one that was killed is known to be gone, and its lease need not run out first. */
const OWNERS = '5c1f3b52-0f0e-4b60-9d58-3a1f5d0c9b7e'
const ownerOf = ({ dataFolder }: Config) => (isSupervised() ? uuidv5(JSON.stringify([hostname(), dataFolder]), OWNERS) : randomUUID())
