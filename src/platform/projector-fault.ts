import pg from 'pg'
import type { StoredEvent } from './event.ts'

/** An event that cannot be applied. Nothing may go on over it in silence. The message names the event, never what is in it. */
export class Unapplicable extends Error {
  readonly event: Pick<StoredEvent, 'id' | 'type' | 'stream' | 'revision'>
  constructor(event: Pick<StoredEvent, 'id' | 'type' | 'stream' | 'revision'>, target: string, cause: unknown) {
    const { id, type, stream, revision } = event
    super(
      `Event ${revision} of ${stream} (${type}, ${id}) cannot be applied to ${target}: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    )
    this.name = 'Unapplicable'
    this.event = { id, type, stream, revision }
  }
}

/** SQLSTATE classes: feature not supported, data exception, integrity violation, syntax or access, program limit exceeded. */
const classes = ['0A', '22', '23', '42', '54']

/** Whether Postgres refused what it was given, so that the same again would be refused again. Everything else may pass: connections, locks, full disks. */
export const isFaultOfData = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && classes.includes(error.code?.slice(0, 2) ?? '')
