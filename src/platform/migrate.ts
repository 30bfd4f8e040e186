import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import { CLOSE_MS, CONNECT_MS, keepAlive, LONGEST_MS } from './database.ts'
import type { Logger } from './log.ts'

const MIGRATIONS = fileURLToPath(new URL('migrations', import.meta.url))
/** For as long a process waits for another that is at it; then it is started again. */
const MIGRATE_LOCK = '60s'

/**
 * Brings the private tables (vault, checkpoints) up to date. Safe to call from many processes at once: where there is something to do, the others wait, but
 * not without a bound, since who is at it may be cut off from Postgres.
 * @throws a connection error when Postgres is away; 55P03 when the others take too long
 */
export async function migrate(url: string, log: Logger): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS, ...keepAlive, query_timeout: LONGEST_MS })
  // What is asked of it fails then, and says so; unheard, this would end the process.
  client.on('error', (err) => log.warn({ err }, 'the connection to Postgres broke while the tables were brought up to date'))
  await client.connect()
  try {
    if (await isUpToDate(client)) return
    await client.query(`set lock_timeout = '${MIGRATE_LOCK}'`)
    await runner({
      dbClient: client,
      dir: MIGRATIONS,
      ignorePattern: String.raw`\..*`,
      migrationsSchema: 'smartcrm',
      createMigrationsSchema: true,
      migrationsTable: 'migrations',
      direction: 'up',
      advisoryLockMode: 'wait',
      logger: { debug: () => {}, info: (text) => log.debug(text), warn: (text) => log.warn(text), error: (text) => log.error(text) },
    })
  } finally {
    await Promise.race([client.end().catch(() => {}), delay(CLOSE_MS, undefined, { ref: false })])
  }
}

async function isUpToDate(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query("select to_regclass('smartcrm.migrations') is not null as there")
  if (!rows[0].there) return false
  const done = await client.query<{ name: string }>('select name from smartcrm.migrations')
  const names = new Set(done.rows.map(({ name }) => name))
  return (await readdir(MIGRATIONS)).every((file) => names.has(file.replace(/\.sql$/, '')))
}
