import { randomBytes } from 'node:crypto'
import pg from 'pg'
import t from 'tap'
import { createLogger } from '../../src/platform/log.ts'
import { migrate } from '../../src/platform/migrate.ts'
import { startThrowAwayPostgres } from './throw-away-postgres.ts'

/** As much of tap's `t` as is needed. */
type Teardown = { teardown(clear: () => unknown): void }

/** A database that others begin as copies of, which takes a tenth of making what is in it anew. @property make puts into a new one what it is to have */
export type Template = { readonly name: string; make(url: string): Promise<void> }

/** With the private tables, and nothing in them. */
export const migrated: Template = { name: 'smartcrm_template', make: (url) => migrate(url, createLogger('warn', 'test')) }

/**
 * A database of the test's own, with the private tables in it; dropped after the test, whoever is still connected.
 * It is in the cluster that `npm test` started, or in one of this file's own when the file runs alone.
 */
export async function testDatabase(t: Teardown, template = migrated): Promise<{ url: string }> {
  const cluster = await testCluster()
  await ready(cluster, template)
  const name = `test_${randomBytes(6).toString('hex')}`
  await query(cluster, `create database ${name} template ${template.name}`)
  t.teardown(() => query(cluster, `drop database ${name} with (force)`))
  return { url: withDatabase(cluster, name) }
}

let own: Promise<string> | undefined

function testCluster(): Promise<string> {
  own ??= process.env['TEST_DATABASE_URL'] ? Promise.resolve(process.env['TEST_DATABASE_URL']) : startOwnCluster()
  return own
}

async function startOwnCluster(): Promise<string> {
  const postgres = await startThrowAwayPostgres()
  t.teardown(() => postgres.close())
  return postgres.url
}

const made = new Map<string, Promise<void>>()

/** The template is there. Test files run beside each other: the first makes it, under a name that nobody takes for it until it is complete. */
function ready(cluster: string, { name, make }: Template): Promise<void> {
  const making =
    made.get(name) ??
    (async () => {
      const client = await connect(cluster)
      try {
        await client.query('select pg_advisory_lock(7)')
        const { rowCount } = await client.query('select from pg_database where datname = $1', [name])
        if (rowCount !== 0) return
        await client.query(`drop database if exists ${name}_new with (force)`)
        await client.query(`create database ${name}_new`)
        await make(withDatabase(cluster, `${name}_new`))
        await client.query(`alter database ${name}_new rename to ${name}`)
      } finally {
        await client.end()
      }
    })()
  made.set(name, making)
  return making
}

async function query(cluster: string, statement: string): Promise<void> {
  const client = await connect(cluster)
  await client.query(statement).finally(() => client.end())
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
