import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client'
import type { Test } from 'tap'
import { type EventStore, type EventStoreOptions, startEventStore } from '../../src/eventstore/server.ts'

/** A folder that goes when the test is over. */
export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'eventstore-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** An embedded node of the test's own, on a free port. */
export async function embedded(t: Test, options: Partial<EventStoreOptions> = {}): Promise<EventStore & { file: string }> {
  const file = options.file ?? join(folder(t), 'log.db')
  const store = await startEventStore({ systemEvents: true, ...options, file })
  t.teardown(() => store.close())
  return { ...store, file }
}

export function connect(t: Test, url: string): EventStoreDBClient {
  const client = EventStoreDBClient.connectionString(url)
  t.teardown(() => client.dispose())
  return client
}

export const event = (n: number | string, type = 'Happened') => jsonEvent({ type, data: { n } })
export const events = (count: number, type?: string) => Array.from({ length: count }, (_, n) => event(n, type))

/** What an operation fails with; fails the test where it does not. */
export async function failure(
  operation: Promise<unknown> | (() => Promise<unknown>),
): Promise<Error & { type: string; [key: string]: unknown }> {
  try {
    await (typeof operation === 'function' ? operation() : operation)
  } catch (error) {
    return error as Error & { type: string; [key: string]: unknown }
  }
  throw new Error('It did not fail.')
}

/** Everything that a read gives. */
export async function all<T>(read: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = []
  for await (const one of read) taken.push(one)
  return taken
}

/** Waits until `done` holds; fails after half a minute. */
export async function until(done: () => boolean, what: string): Promise<void> {
  const limit = Date.now() + 30_000
  while (!done()) {
    if (Date.now() > limit) throw new Error(`It did not come about: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
