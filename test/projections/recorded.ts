import { createHash } from 'node:crypto'
import type { NewEvent } from '../../schema/define.ts'
import type { RecordedEvent } from '../../src/platform/event.ts'
import { toUuid } from '../../src/platform/uuid.ts'

/** A uuid that is the same for the same name. */
export const idOf = (name: string): string => toUuid(createHash('sha256').update(name).digest(), 4)

/** Minute n of the test's day. */
export const minute = (n: number): string => new Date(Date.UTC(2026, 2, 1, 0, n)).toISOString()

/** The events as the log would give them: numbered in their stream, one a minute. */
export function recorded(...events: NewEvent[]): RecordedEvent[] {
  const revisions = new Map<string, number>()
  return events.map((event, index) => {
    const { contactId, emailId } = event.data as { contactId?: string; emailId?: string }
    const stream = contactId === undefined ? `email-${emailId}` : `contact-${contactId}`
    const revision = (revisions.get(stream) ?? -1) + 1
    revisions.set(stream, revision)
    const at = minute(index)
    return {
      type: event.type,
      data: event.data,
      id: idOf(`event ${index}`),
      stream,
      revision,
      position: { commit: BigInt(index + 1), prepare: BigInt(index + 1) },
      created: at,
      meta: {
        v: 1,
        at,
        actor: 'key:test',
        commandId: idOf(`command ${index}`),
        request: '',
        $correlationId: idOf(`command ${index}`),
        $causationId: idOf(`command ${index}`),
        key: null,
        prev: null,
        hash: '',
      },
      erased: false,
      known: true,
    }
  })
}
