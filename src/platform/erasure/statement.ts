import type pg from 'pg'
import { LONGEST_MS } from '../database.ts'

/** A statement over a connection of one's own that may take as long as any. VACUUM and the like run in no transaction, and hence not over the pool. */
export async function statement<Row extends object = object>(client: pg.Client, text: string, values: unknown[] = []): Promise<Row[]> {
  const { rows } = await client.query({ text, values, query_timeout: LONGEST_MS } as pg.QueryConfig)
  return rows
}
