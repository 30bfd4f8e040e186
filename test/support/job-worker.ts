import { Type } from '@sinclair/typebox'
import { readConfig } from '../../src/config.ts'
import { createContact } from '../../src/contacts/contact.ts'
import { dispatch } from '../../src/contacts/upsert.ts'
import { defineJob } from '../../src/platform/jobs.ts'
import { openJobs } from '../../src/platform/jobs-queue.ts'
import { startWorker } from '../../src/platform/jobs-worker.ts'
import { createLogger } from '../../src/platform/log.ts'
import { openServices } from '../../src/services.ts'

/** Makes a contact each step, and tells of each. Alone in a process it is there to be killed. */
export const makeContacts = defineJob({
  queue: 'make-contacts',
  schema: Type.Object({ steps: Type.Integer() }),
  result: Type.Object({ made: Type.Integer(), repeated: Type.Integer() }),
  async run({ steps }, { execute, attempt, progress }) {
    let repeated = 0
    for (let step = 0; step < steps; step += 1) {
      // Another body in every attempt, as of a source that does not say the same twice.
      const outcome = await execute(step, createContact, { name: `Contact ${step} of attempt ${attempt}`, methods: [] })
      if (outcome.repeated) repeated += 1
      progress(step + 1, steps)
      console.log(`step ${step}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return { made: steps, repeated }
  },
})

export const quickToNotice = { lostAfterSeconds: 10, lookEverySeconds: 1 }

if (import.meta.main) {
  const log = createLogger('warn', 'worker')
  const [databaseUrl, eventStoreUrl] = [process.env['DATABASE_URL']!, process.env['EVENTSTORE_URL']!]
  const services = await openServices({ ...readConfig(), databaseUrl, eventStoreUrl }, log)
  const jobs = openJobs({ url: databaseUrl, pool: services.pool, log, types: [makeContacts], ...quickToNotice })
  await startWorker({
    jobs,
    log,
    services: null,
    execute: dispatch(services.runner, services.claims),
    secret: services.vault.secret('requests'),
    pollMs: 50,
  })
  console.log('up')
}
