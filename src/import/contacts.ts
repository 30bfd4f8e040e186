import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { type Row, UnreadableFile } from './contact-input.ts'
import { type CsvOptions, readCsv } from './csv.ts'
import { decode } from './decode.ts'
import { readVcards } from './vcard.ts'

const HEAD_CHARACTERS = 64 * 1024

export type ReadOptions = CsvOptions & { encoding?: string }

/**
 * Reads the contacts of a CSV or vCard file of any size as it comes; what it is and how it is encoded is told from its content.
 * @param source a path, or its bytes
 * @throws UnreadableFile when nothing of it can be read
 */
export async function* readContacts(source: Readable | string, options: ReadOptions = {}): AsyncGenerator<Row> {
  const bytes = typeof source === 'string' ? createReadStream(source) : source
  try {
    const { head, complete, all } = await withHead(decode(bytes, options.encoding))
    if (/^\s*BEGIN:VCARD\s*$/im.test(head.slice(0, 1024))) yield* readVcards(all)
    else if (/^\s*(?:<!doctype|<html|<\?xml)/i.test(head))
      throw new UnreadableFile('It is HTML or XML. Only CSV and vCard files can be imported.')
    else yield* readCsv(all, head, complete, options)
  } finally {
    bytes.destroy()
  }
}

/** The beginning of a text beside all of it. */
async function withHead(text: AsyncGenerator<string>): Promise<{ head: string; complete: boolean; all: AsyncIterable<string> }> {
  const pieces: string[] = []
  let characters = 0
  let complete = false
  while (!complete && characters < HEAD_CHARACTERS) {
    const next = await text.next()
    if (next.done) complete = true
    else {
      pieces.push(next.value)
      characters += next.value.length
    }
  }
  async function* all() {
    yield* pieces
    yield* text
  }
  return { head: pieces.join(''), complete, all: all() }
}
