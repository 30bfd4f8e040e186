import { DatabaseSync } from 'node:sqlite'
import { checksum, type Described, describe, encodeRecord } from '../../src/eventstore/record.ts'
import { hashOf } from '../../src/platform/codec.ts'
import type { Metadata } from '../../src/platform/event.ts'

/** An event of a log's file, to be changed and put back. */
export type Forged = Omit<Described, 'data' | 'metadata'> & {
  streamId: number
  data: Record<string, unknown>
  metadata: Metadata & Record<string, unknown>
}

type Row = { position: number; stream: number; revision: number; frame: Uint8Array }

/** The file of an embedded node that is stopped, in the hands of somebody who knows how it is written: every checksum is made anew. */
export function openForgery(file: string) {
  const database = new DatabaseSync(file)
  const read = ({ stream: streamId, frame }: Row): Forged => {
    const told = describe(Buffer.from(frame))
    return { ...told, streamId, data: JSON.parse(String(Buffer.from(told.data))), metadata: JSON.parse(String(Buffer.from(told.metadata))) }
  }
  const rows = (where: string, ...values: (string | number)[]) =>
    database.prepare(`select position, stream, revision, frame from events where ${where} order by position`).all(...values) as Row[]
  const idOf = (stream: string) => (database.prepare('select id from streams where name = ?').get(stream) as { id: number } | undefined)?.id
  const forgery = {
    database,
    close: () => database.close(),
    stream: (name: string): Forged[] => rows('stream = ?', idOf(name)!).map(read),
    /** Takes an event out, and leaves no gap that the node would wonder about. */
    remove({ position }: Pick<Forged, 'position'>) {
      database.prepare('delete from events where position = ?').run(position)
      database.prepare('insert into removed (first, last) values (?, ?)').run(position, position)
    },
    /** Writes an event where it says that it is. */
    put(event: Forged) {
      const streamId = idOf(event.stream) ?? addStream(event.stream)
      const json = (value: unknown) => Buffer.from(JSON.stringify(value))
      const proposed = { ...event, data: json(event.data), metadata: json(event.metadata) }
      const frame = encodeRecord(proposed, Buffer.from(event.stream), event.revision, event.position, event.createdMs)
      database.prepare('delete from events where position = ?').run(event.position)
      database
        .prepare('insert into events (position, stream, revision, frame, checksum) values (?, ?, ?, ?, ?)')
        .run(event.position, streamId, event.revision, frame, checksum(frame, streamId, event.revision, event.position))
    },
    /** Its hash fits what it says. */
    rehashed(event: Forged): Forged {
      const { hash: _, ...metadata } = event.metadata
      return { ...event, metadata: { ...metadata, hash: hashOf(event, metadata as Metadata) } as Forged['metadata'] }
    },
    /** Changes an event and makes the hashes and links of all that follow in its stream fit. */
    chained(name: string, revision: number, change: (event: Forged) => Forged) {
      let prev: string | null = null
      for (const event of forgery.stream(name)) {
        const changed = event.revision === revision ? change(event) : event
        const linked: Forged =
          event.revision < revision ? changed : forgery.rehashed({ ...changed, metadata: { ...changed.metadata, prev } })
        if (event.revision >= revision) forgery.put(linked)
        prev = linked.metadata.hash
      }
    },
    end: () => (database.prepare('select max(position) as last from events').get() as { last: number }).last,
  }
  function addStream(name: string): number {
    return Number(database.prepare('insert into streams (name) values (?)').run(name).lastInsertRowid)
  }
  return forgery
}
