import { join } from 'node:path'
import type { Config } from '../config.ts'
import { folderFault } from '../data-folder.ts'
import { startEventStore } from '../eventstore/server.ts'
import type { Logger } from '../platform/log.ts'
import { freePort, listenFault } from '../platform/ports.ts'
import type { Running } from './role.ts'

// Whoever reaches it may read and write everything, so it is for this machine only, wherever the API listens.
const host = '127.0.0.1'

/** The embedded event store, in the data folder. */
export async function run(config: Config, log: Logger): Promise<Running> {
  const port = config.eventStorePort || (await freePort())
  const folder = join(config.dataFolder, 'eventstore')
  try {
    return await startEventStore({ file: join(folder, 'events.db'), host, port, log, systemEvents: true })
  } catch (error) {
    throw listenFault(error, host, port, 'EVENTSTORE_PORT') ?? folderFault(error, folder) ?? error
  }
}
