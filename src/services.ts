import { join } from 'node:path'
import { allEvents } from '../schema/events.ts'
import { createReadRecorder, type ReadRecorder } from './audit/reads.ts'
import { openBlobs } from './blobs.ts'
import type { Config } from './config.ts'
import { type Claims, createClaims } from './contacts/claims.ts'
import { createIngest, type Ingest } from './emails/ingest.ts'
import { concealParties } from './emails/mask.ts'
import { createParser } from './emails/parse/parser.ts'
import { createEnrichers, type Enrichers } from './enrichment/enrichers.ts'
import { type Searched, searchedOf } from './erasure/search.ts'
import { jobTypes } from './jobs/index.ts'
import { type Google, openGoogle } from './mailboxes/google.ts'
import { type Syncing, syncingOf } from './mailboxes/syncing.ts'
import { MASTER_KEY_MADE, masterKeySource } from './master-key.ts'
import type { Blobs } from './platform/blobs.ts'
import { type Codec, createCodec } from './platform/codec.ts'
import { type Concealed, openConcealed } from './platform/concealed.ts'
import { openPool, type Pool } from './platform/database.ts'
import { type ErasureList, openErasureList } from './platform/erasure/list.ts'
import { type EventStore, openEventStore } from './platform/event-store.ts'
import { type Jobs, openJobs } from './platform/jobs-queue.ts'
import { watchKeys } from './platform/key-watch.ts'
import type { Logger } from './platform/log.ts'
import { createRunner, type Guard, type Runner } from './platform/runner.ts'
import { openVault, type Vault } from './platform/vault.ts'

/** What every role works with. */
export type Services = {
  readonly pool: Pool
  readonly store: EventStore
  readonly vault: Vault
  readonly codec: Codec
  readonly runner: Runner
  readonly claims: Claims
  /** Addresses of those who were erased. */
  readonly concealed: Concealed
  readonly jobs: Jobs
  readonly blobs: Blobs
  readonly reads: ReadRecorder
  /** Its threads begin with the first mail. */
  readonly ingest: Ingest
  /** Its vendors are loaded by who asks for them. */
  readonly enrichers: Enrichers
  /** Null where the settings name no client at Google. */
  readonly google: Google | null
  /** What was erased, kept outside of all backups. */
  readonly erasureList: ErasureList
  /** Where those who were erased are looked for. */
  readonly searched: Searched
  /** An erasure waits until a second key confirms it. */
  readonly erasureConfirmation: boolean
  /** How mailboxes are looked at. */
  readonly syncing: Syncing
  close(): Promise<void>
}

/** A config in which both servers are named: the embedded ones' addresses are known by now. */
export type Connected = Config & { readonly databaseUrl: string; readonly eventStoreUrl: string }

/**
 * Opens the log, the tables and the vault.
 * @param statementMs how long a statement to Postgres may take; half an hour unless it says
 * @throws Fault when the master key is not the vault's; a connection error when Postgres is away
 */
export async function openServices(config: Connected, log: Logger, statementMs?: number): Promise<Services> {
  const pool = openPool(config.databaseUrl, log, undefined, statementMs)
  try {
    const vault = await openVault(
      pool,
      masterKeySource(config, (file) => log.warn({ file }, MASTER_KEY_MADE)),
    )
    // Before the first event is read.
    const concealed = await openConcealed(pool, vault.secret('claims'))
    const watch = watchKeys(pool, log, vault, concealed)
    const store = openEventStore(config.eventStoreUrl, log)
    const codec = createCodec(allEvents, vault, concealParties(concealed))
    const guards: Record<string, Guard> = {}
    const runner = createRunner(store, codec, guards)
    const claims = createClaims(store, codec, runner.load, vault.secret('claims'))
    guards['contact'] = claims
    const blobs = openBlobs(config)
    const parser = createParser({ secret: vault.secret('emails') })
    const ingest = createIngest({ runner, vault, blobs, parser, concealed })
    const google = await openGoogle(config)
    const jobs = openJobs({ url: config.databaseUrl, pool, log, types: jobTypes })
    return {
      pool,
      store,
      vault,
      codec,
      runner,
      claims,
      concealed,
      jobs,
      blobs,
      reads: createReadRecorder(runner),
      ingest,
      enrichers: createEnrichers(config),
      google,
      erasureList: openErasureList(config.erasureList ?? join(config.dataFolder, 'erasures.jsonl')),
      searched: searchedOf(config),
      erasureConfirmation: config.erasureConfirmation ?? false,
      syncing: syncingOf(config),
      async close() {
        await jobs.close()
        await parser.close()
        blobs.close()
        await store.close()
        await watch.close()
        await pool.close()
      },
    }
  } catch (error) {
    await pool.close()
    throw error
  }
}
