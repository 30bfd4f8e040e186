import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import { type QuerySqlToken, sql } from 'slonik'
import { copy } from './copy.ts'

export { sql }

/** Runs SQL composed with slonik's tag. A pool, or a client inside `transaction`. */
export type Database = {
  /** @throws pg's DatabaseError when Postgres refuses, a connection error when it is away */
  rows<Row extends object>(query: Query): Promise<Row[]>
  /** Adds many rows for half of what an insert costs; inside `transaction` alone. @param lines of the `copy … from stdin`, in its text format */
  copy?(statement: Query, lines: string): Promise<void>
}

/** @property name makes it a prepared statement, for queries that run often */
export type Query = QuerySqlToken & { readonly name?: string }

/** A statement that is composed once, for what is asked often. @param query with null for each value @returns the same with values, in their order */
export const prepared =
  (name: string, query: QuerySqlToken) =>
  (...values: QuerySqlToken['values']): Query => ({ ...query, values, name })

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

const usual = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00$/

/**
 * `2026-03-01 09:30:00+00` as ISO 8601, for of anything else `Date` guesses (the year 0099 became 1999). What is no instant, infinity, stays text.
 * The usual ones are only spelled anew: a page of contacts has a hundred, and `Date` would take a tenth of the time of its answer.
 */
function toInstant(text: string): string {
  if (usual.test(text)) return `${text.slice(0, 10)}T${text.slice(11, 19)}.${text.slice(20, -3).padEnd(3, '0').slice(0, 3)}Z`
  const date = new Date(text.replace(' ', 'T').replace(/[+-]\d\d$/, '$&:00'))
  return Number.isNaN(date.getTime()) ? text : date.toISOString()
}

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') => parsers[oid] ?? pg.types.getTypeParser(oid, format as 'text'),
}

/** Has one thing done over a connection. */
type Ask = <T>(what: (client: pg.ClientBase) => Promise<T>) => Promise<T>

/** pg's spelling of the parameters in a statement; of those with a name, which are few and come often, it is kept. */
const texts = new Map<string, string>()
function textOf({ name, sql: text }: Query): string {
  const known = name === undefined ? undefined : texts.get(text)
  if (known !== undefined) return known
  const written = text.replaceAll('$slonik_', '$')
  if (name !== undefined) texts.set(text, written)
  return written
}

const run = (ask: Ask): Required<Database> => ({
  async rows<Row extends object>(query: Query) {
    const { name, values } = query
    const config = { ...(name && { name }), text: textOf(query), values: [...values], types }
    const { rows } = await ask((client) => client.query<Row>(config))
    return rows
  },
  copy: ({ sql: text }, lines) => ask((client) => copy(client, text, lines)),
})

export const CONNECT_MS = 3_000
export const CLOSE_MS = 2_000
/** For whoever answers requests: a statement that takes longer is given up. */
export const ANSWER_MS = 8_000
/** For all others. Building tables anew has long ones; this is only so that nothing waits without a bound. */
export const LONGEST_MS = 30 * 60_000

/** A statement that takes longer is asked after, over another connection, so often; what is found out holds if no answer comes for a while after. */
const LOOK_MS = 5_000
const LOOK_OUT_MS = 500
const LINGER_MS = 1_000

export const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 5_000 }

/** pg's own bound: the statement may still be running, and its connection must not be used again. */
const isUnanswered = (error: unknown): boolean => (error as Error | null)?.message === 'Query read timeout'

/** Without the farewell, for which a connection that does not answer would be waited for. */
function drop(client: pg.ClientBase): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
}

/**
 * Opens a pool. Connecting happens on first use, so this never fails.
 * @param connections the most at once
 * @param statementMs how long a statement may take. When one was not even refused in that time, all connections of its time are given up for new ones
 */
export function openPool(url: string, log: Logger, connections = 10, statementMs = LONGEST_MS): Pool {
  const open = new Map<pg.ClientBase, { readonly pid: number; readonly since: number }>()
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: 30_000,
    ...keepAlive,
    query_timeout: statementMs,
    // What is asked at once is sent at once, and answered in its order: who needs no answer for his next statement does not wait for it.
    pipeline: true,
    async onConnect(client) {
      // The server gives up first, so that nothing goes on there that nobody waits for. By a statement, since poolers refuse it at the start.
      const { rows } = await client.query({
        text: 'select pg_backend_pid() as pid, set_config($1, $2, false)',
        values: ['statement_timeout', String(Math.round(statementMs * 0.9))],
        // Still part of connecting, and pg's bound for that is over by now.
        query_timeout: CONNECT_MS,
      } as pg.QueryConfig)
      open.set(client, { pid: rows[0].pid, since: performance.now() })
    },
  })
  // An idle connection that breaks would otherwise end the process; the pool makes a new one by itself.
  pool.on('error', (err) => log.warn({ err }, 'an idle connection to Postgres broke'))
  pool.on('remove', (client) => open.delete(client))
  let trustedSince = 0

  const take = async () => {
    for (;;) {
      const client = await pool.connect()
      if (open.get(client)!.since >= trustedSince) return client
      drop(client)
      client.release(true)
    }
  }

  const connect = async () => {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS, ...keepAlive, query_timeout: CONNECT_MS })
    client.on('error', (err) => log.warn({ err }, 'a connection to Postgres broke'))
    await client.connect()
    return client
  }

  /** Whether Postgres works on something for this connection. With Postgres itself away that cannot be told. */
  const isWorkedOn = async (pid: number): Promise<boolean> => {
    const client = await connect()
    try {
      const { rows } = await client.query('select state from pg_stat_activity where pid = $1', [pid])
      return rows.length > 0 && !/^idle/.test(rows[0].state)
    } finally {
      client.end().catch(() => {})
    }
  }

  /** Connections with statements that were sent and not answered yet: how many, and when they are asked after. */
  const underWay = new Map<pg.ClientBase, { count: number; lookAt: number }>()

  const asking =
    (client: pg.ClientBase): Ask =>
    async (what) => {
      underWay.set(client, { count: (underWay.get(client)?.count ?? 0) + 1, lookAt: performance.now() + LOOK_MS })
      try {
        return await what(client)
      } finally {
        const { count } = underWay.get(client)!
        if (count === 1) underWay.delete(client)
        else underWay.set(client, { count: count - 1, lookAt: performance.now() + LOOK_MS })
      }
    }

  /**
   * Where the other end of a statement's connection is gone (a failover, a router that forgot it), no answer would ever come, and the system would
   * notice after a quarter of an hour: so Postgres is asked whether it is at it at all.
   */
  const look = async (client: pg.ClientBase, statement: { lookAt: number }) => {
    statement.lookAt = performance.now() + LOOK_MS
    if (await isWorkedOn(open.get(client)!.pid)) return
    await delay(LINGER_MS)
    if (underWay.get(client) !== statement) return
    log.warn('Postgres has nothing to do with a statement that was sent to it; connecting anew')
    trustedSince = performance.now()
    drop(client)
  }

  // One look-out for all: a timer a statement would cost a tenth of what answering from one row does.
  const lookOut = setInterval(() => {
    for (const [client, statement] of underWay) if (performance.now() >= statement.lookAt) look(client, statement).catch(() => {})
  }, LOOK_OUT_MS).unref()

  /** Gives a connection for as long as `work` takes; one that it calls broken is not used again. */
  const using = async <T>(work: (ask: Ask, isBroken: (error: Error) => void) => Promise<T>): Promise<T> => {
    const client = await take()
    let broken: Error | undefined
    // The pool watches idle connections only: one that breaks between two statements of ours would end the process.
    const onError = (error: Error) => {
      broken = error
    }
    client.on('error', onError)
    try {
      return await work(asking(client), onError)
    } catch (error) {
      if (isUnanswered(error)) {
        broken = error as Error
        trustedSince = performance.now()
        log.warn({ err: error }, 'Postgres did not answer; connecting anew')
      }
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  return {
    rows: (query) => using((ask) => run(ask).rows(query)),
    transaction: (work) =>
      using(async (ask, isBroken) => {
        const say = (text: string) => ask((client) => client.query(text))
        try {
          await say('begin')
          const result = await work(run(ask))
          const { command } = await say('commit')
          // Postgres answers a commit after a failed statement by rolling back, and calls it no error.
          if (command !== 'COMMIT') throw new Error('The transaction was rolled back: a statement in it had failed.')
          return result
        } catch (error) {
          if (!isUnanswered(error)) await say('rollback').catch(isBroken)
          throw error
        }
      }),
    ping: () => using((ask) => ask(async (client) => void (await client.query('select 1')))),
    connect,
    async close() {
      clearInterval(lookOut)
      const late = setTimeout(() => [...open.keys()].forEach(drop), CLOSE_MS)
      await pool.end().finally(() => clearTimeout(late))
    },
  }
}
