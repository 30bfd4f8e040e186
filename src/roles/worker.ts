import { randomUUID } from 'node:crypto'
import { projections } from '../../projections/index.ts'
import { startSweeping } from '../blob-care.ts'
import type { Config } from '../config.ts'
import { dispatch } from '../contacts/upsert.ts'
import { startEnrichingOnCreation } from '../enrichment/on-creation.ts'
import { eraseAgain } from '../erasure/at-start.ts'
import { startNightly } from '../erasure/nightly.ts'
import { startSchedule } from '../mailboxes/schedule.ts'
import { startHeartbeat } from '../platform/heartbeat.ts'
import { startWorker } from '../platform/jobs-worker.ts'
import { holdLease } from '../platform/lease.ts'
import type { Logger } from '../platform/log.ts'
import { migrate } from '../platform/migrate.ts'
import { keepVerifying } from '../platform/projections/verify-share.ts'
import { areBorn, bearReactors, createReactors, REACTORS } from '../platform/reactor.ts'
import { keepResubscriptions } from '../platform/resubscriptions.ts'
import { reactors } from '../reactors/index.ts'
import { openServices } from '../services.ts'
import { connected } from './connected.ts'
import { isSupervised, type Running } from './role.ts'

/** How long jobs may go on when this ends: below the time after which the process is killed, by the supervisor or by itself. */
const graceMs = () => (isSupervised() ? 3_500 : 8_000)

/** Does what has to be done by itself: the heartbeat, the reactors, the jobs. */
export async function run(config: Config, log: Logger): Promise<Running> {
  const urls = connected(config)
  await migrate(urls.databaseUrl, log)
  const services = await openServices(urls, log)
  const { pool, store, codec, runner, claims, vault, jobs } = services
  const heartbeat = startHeartbeat(store, codec, log)
  try {
    // Before anything is fetched or done for somebody whom a backup brought back.
    await eraseAgain(services, log)
    if (reactors.length > 0) await bearReactors(pool, reactors, store.end)
    const worker = await startWorker({ jobs, log, services, execute: dispatch(runner, claims), secret: vault.secret('requests') })
    const types = reactors.flatMap(({ eventTypes }) => [...eventTypes])
    const reacting = createReactors({
      pool,
      log,
      reactors,
      jobs,
      // Nobody waits for their position, and most of what happens is nothing to them: it does not even come.
      idleMs: 1_000,
      subscribe: (after, signal) => store.subscribe({ after, signal, types }),
      decode: codec.decode,
    })
    const sweeping = startSweeping(services, log)
    const enriching = startEnrichingOnCreation(services, log)
    const schedule = startSchedule(services, log)
    const nightly = startNightly(services, log, config.erasureRewriteAt)
    const verifying = keepVerifying({ pool, source: { ...store, decode: codec.decode }, projections }, log)
    const lease =
      reactors.length > 0
        ? holdLease({ pool, log, owner: randomUUID(), when: areBorn(reactors), checkpoint: REACTORS }, reacting.lead)
        : null
    const keeping = keepResubscriptions({ pool, log, role: 'worker', counts: store.resubscriptions })
    return {
      async close() {
        heartbeat.close()
        keeping.close()
        const followers = [lease, sweeping, enriching, schedule, nightly, verifying]
        await Promise.all([worker.close(graceMs()), ...followers.map((one) => one?.close())])
        await services.close()
      },
    }
  } catch (error) {
    heartbeat.close()
    await services.close()
    throw error
  }
}
