import { Readable } from 'node:stream'
import type { ContactInput, Row } from '../../src/import/contact-input.ts'
import { type ReadOptions, readContacts } from '../../src/import/contacts.ts'

/** The rows of a text or of bytes, which come in pieces of the given size, so that every boundary is tried. */
export async function rowsOf(content: string | Uint8Array, options: ReadOptions = {}, pieceBytes = 1 << 16): Promise<Row[]> {
  const bytes = Buffer.from(content)
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
    bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
  )
  return Array.fromAsync(readContacts(Readable.from(pieces, { objectMode: true }), options))
}

/** The contacts of a text that has no faults, without the ids that are made for them. */
export async function contactsOf(content: string | Uint8Array, options: ReadOptions = {}, pieceBytes?: number): Promise<ContactInput[]> {
  return (await rowsOf(content, options, pieceBytes)).map((row) => {
    if ('fault' in row) throw new Error(`line ${row.line}: ${row.fault}`)
    const { id: _, ...input } = row.input
    return input
  })
}

/** Lines and reasons of what could not be read. */
export const faultsOf = (rows: Row[]): [number, string][] => rows.flatMap((row) => ('fault' in row ? [[row.line, row.fault]] : []))
