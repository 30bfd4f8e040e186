import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { createClaims } from '../../src/contacts/claims.ts'
import { startEventStore } from '../../src/eventstore/server.ts'
import { createLogger } from '../../src/platform/log.ts'
import { Refused } from '../../src/platform/refusal.ts'
import { createRunner, type Guard, type Request } from '../../src/platform/runner.ts'
import { type Connected, openServices, type Services } from '../../src/services.ts'
import { testDatabase } from './postgres.ts'

/** Event store and database of the test's own, and as many processes' services on them as it opens. */
export async function testServices(t: Test): Promise<{ open(): Promise<Services>; config: Connected; eventsFile: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  const { url: databaseUrl } = await testDatabase(t)
  const eventsFile = join(folder, 'events.db')
  const node = await startEventStore({ file: eventsFile })
  const config = { ...readConfig({ SMARTCRM_DATA: folder }), databaseUrl, eventStoreUrl: node.url }
  const opened: Services[] = []
  t.teardown(async () => {
    for (const services of opened) await services.close()
    await node.close()
    await rm(folder, { recursive: true })
  })
  return {
    config,
    eventsFile,
    async open() {
      const services = await openServices(config, createLogger('silent', 'test'))
      opened.push(services)
      return services
    },
  }
}

/** A request as the API makes one. @param commandId the same for a repeat */
export const request = (commandId: string = randomUUID(), more: Partial<Request> = {}): Request => ({
  actor: 'key:test',
  commandId,
  request: 'what was asked',
  correlationId: commandId,
  ...more,
})

/** Runner and claims on the same servers that go by another clock. */
export function underClock({ store, codec, vault }: Services, now: () => Date): Pick<Services, 'runner' | 'claims'> {
  const guards: Record<string, Guard> = {}
  const runner = createRunner(store, codec, guards, now)
  const claims = createClaims(store, codec, runner.load, vault.secret('claims'))
  guards['contact'] = claims
  return { runner, claims }
}

/** What it fails with; fails itself where it does not. */
export async function refusalOf(work: Promise<unknown>): Promise<Refused> {
  const error = await work.then(
    () => new Error('It was not refused.'),
    (error: unknown) => error,
  )
  if (error instanceof Refused) return error
  throw error
}
