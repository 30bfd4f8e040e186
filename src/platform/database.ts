import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import type { Logger } from 'pino'
import { type QuerySqlToken, sql } from 'slonik'

export { sql }

/** Runs SQL composed with slonik's tag. A pool, or a client inside `transaction`. */
export type Database = {
  /** @throws pg's DatabaseError when Postgres refuses, a connection error when it is away */
  rows<Row extends object>(query: Query): Promise<Row[]>
}

/** @property name makes it a prepared statement, for queries that run often */
export type Query = QuerySqlToken & { readonly name?: string }

export type Pool = Database & {
  /** Runs `work` in one transaction: commits what it did, or nothing when it throws. Never retries. */
  transaction<T>(work: (db: Database) => Promise<T>): Promise<T>
  /** @throws a connection error when Postgres is away */
  ping(): Promise<void>
  /** A connection of its own outside the pool, for LISTEN. */
  connect(): Promise<pg.Client>
  close(): Promise<void>
}

const { builtins } = pg.types
/** bigint as number (our counts and revisions stay below 2^53) and instants as `toISOString` writes them: JSON can carry both. */
const parsers: Record<number, (text: string) => unknown> = {
  [builtins.INT8]: Number,
  [builtins.TIMESTAMPTZ]: toInstant,
}

/** `2026-03-01 09:30:00+00` as ISO 8601, for of anything else `Date` guesses (the year 0099 became 1999). What is no instant, infinity, stays text. */
function toInstant(text: string): string {
  const date = new Date(text.replace(' ', 'T').replace(/[+-]\d\d$/, '$&:00'))
  return Number.isNaN(date.getTime()) ? text : date.toISOString()
}

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') => parsers[oid] ?? pg.types.getTypeParser(oid, format as 'text'),
}

const run = (client: pg.Pool | pg.ClientBase): Database => ({
  async rows<Row extends object>({ name, sql: text, values }: Query) {
    const result = await client.query<Row>({ ...(name && { name }), text: text.replaceAll('$slonik_', '$'), values: [...values], types })
    return result.rows
  },
})

/**
 * Opens a pool. Connecting happens on first use, so this never fails.
 * @param connections the most at once
 */
export function openPool(url: string, log: Logger, connections = 10): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  // An idle connection that breaks would otherwise end the process; the pool makes a new one by itself.
  pool.on('error', (err) => log.warn({ err }, 'an idle connection to Postgres broke'))
  return {
    ...run(pool),
    async transaction(work) {
      const client = await pool.connect()
      let broken: unknown
      // The pool watches idle connections only: one that breaks between two statements of ours would end the process.
      const onError = (error: Error) => (broken = error)
      client.on('error', onError)
      try {
        await client.query('begin')
        const result = await work(run(client))
        const { command } = await client.query('commit')
        // Postgres answers a commit after a failed statement by rolling back, and calls it no error.
        if (command !== 'COMMIT') throw new Error('The transaction was rolled back: a statement in it had failed.')
        return result
      } catch (error) {
        await client.query('rollback').catch((failure) => (broken = failure))
        throw error
      } finally {
        client.off('error', onError)
        client.release(broken as Error | undefined)
      }
    },
    async ping() {
      await pool.query('select 1')
    },
    async connect() {
      const client = new pg.Client({
        connectionString: url,
        connectionTimeoutMillis: 5_000,
        keepAlive: true,
        keepAliveInitialDelayMillis: 10_000,
      })
      client.on('error', (err) => log.warn({ err }, 'a connection to Postgres broke'))
      await client.connect()
      return client
    },
    close: () => pool.end(),
  }
}

/** Brings the private tables (vault, checkpoints) up to date. Safe to call from many processes at once: the others wait. */
export async function migrate(url: string, log: Logger): Promise<void> {
  await runner({
    databaseUrl: url,
    dir: fileURLToPath(new URL('migrations', import.meta.url)),
    ignorePattern: String.raw`\..*`,
    migrationsSchema: 'smartcrm',
    createMigrationsSchema: true,
    migrationsTable: 'migrations',
    direction: 'up',
    advisoryLockMode: 'wait',
    logger: { debug: () => {}, info: (text) => log.debug(text), warn: (text) => log.warn(text), error: (text) => log.error(text) },
  })
}
