import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../../src/platform/embedded-postgres.ts'
import { createLogger } from '../../src/platform/log.ts'
import { freePort } from '../../src/platform/ports.ts'

/** Quick rather than durable: the cluster lives as long as a run of the tests. */
const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' }

/**
 * Starts a Postgres whose data is deleted when it closes. Under the system's temporary folder, because for root it has to be where
 * the user postgres may go. A process that ends without closing it leaves the folder.
 */
export async function startThrowAwayPostgres(): Promise<{ url: string; close(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  const postgres = await startPostgres({ dir, port: await freePort(), log: createLogger('error', 'postgres'), settings })
  return {
    url: postgres.url,
    async close() {
      await postgres.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
