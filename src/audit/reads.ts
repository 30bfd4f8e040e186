import { randomUUID } from 'node:crypto'
import type { Read } from '../../schema/audit-events.ts'
import type { Runner } from '../platform/runner.ts'
import { AT_ONCE, recordReads } from './audit.ts'

export type ReadRecorder = {
  /**
   * Resolves when it is in the log that somebody is shown something, so that what is answered after it is recorded whatever happens then.
   * @throws Unavailable when it cannot be recorded: then nothing may be shown
   */
  record(read: Omit<Read, 'at'>): Promise<void>
}

/**
 * Records reads, those together that come while others are being appended: one append holds up to 500 of them, and many readers cost little more than
 * one. None is lost by `kill -9`, since none is answered before. Each process has a stream of its own, so that none waits for another.
 */
export function createReadRecorder(runner: Pick<Runner, 'execute'>, now = () => new Date()): ReadRecorder {
  const id = randomUUID()
  let waiting: { read: Read; done(): void; fail(error: unknown): void }[] = []
  let isRunning = false

  const appendAll = async () => {
    isRunning = true
    while (waiting.length > 0) {
      const batch = waiting.slice(0, AT_ONCE)
      waiting = waiting.slice(AT_ONCE)
      const commandId = randomUUID()
      const request = { actor: 'system:api', commandId, request: 'reads', correlationId: commandId }
      try {
        await runner.execute(recordReads, { reads: batch.map(({ read }) => read) }, { id }, request)
        for (const { done } of batch) done()
      } catch (error) {
        for (const { fail } of batch) fail(error)
      }
    }
    isRunning = false
  }

  return {
    record: (read) =>
      new Promise((done, fail) => {
        waiting.push({ read: { at: now().toISOString(), ...read }, done, fail })
        if (!isRunning) void appendAll()
      }),
  }
}
