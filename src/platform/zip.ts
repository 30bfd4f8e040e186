import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { ZipFile } from 'yazl'

/** @property at when the file is said to be from; now, where that cannot be written */
export type ZipEntry = { readonly path: string; readonly content: Iterable<Content> | AsyncIterable<Content>; readonly at?: Date }
type Content = Uint8Array | string
/** What was put in: its size and SHA-256 (hex) before it was packed. */
export type ZippedFile = { readonly path: string; readonly sizeBytes: number; readonly sha256: string }

/**
 * A zip as a stream: each entry is drawn when the one before is written, and no faster than somebody takes it. It ends when the entries do; when one of them
 * fails it is destroyed with that error, and never ends as if it were whole. Who destroys it ends the entries.
 * @param entries is given the list of files, which grows, so that a last entry can tell of all before it
 */
export function zipped(entries: (files: readonly ZippedFile[]) => AsyncIterable<ZipEntry>): Readable {
  const zip = new ZipFile()
  const output = zip.outputStream as Readable
  const closing = new AbortController()
  const { signal } = closing
  output.once('close', () => closing.abort())
  zip.on('error', (error) => output.destroy(error as Error))
  const files: ZippedFile[] = []

  const put = async ({ path, content, at }: ZipEntry) => {
    const measure = measuring(content)
    const measured = Readable.from(measure.chunks(), { objectMode: false })
    try {
      add(zip, path, at, measured)
      await finished(measured, { signal })
    } finally {
      measured.destroy()
    }
    files.push({ path, ...measure.told() })
  }
  const putAll = async () => {
    for await (const entry of entries(files)) {
      signal.throwIfAborted()
      await put(entry)
    }
    zip.end()
    await once(output, 'close', { signal }).catch(() => {})
  }
  putAll().catch((error) => output.destroy(error))
  return output
}

/**
 * Adds an entry. The zip remembers each of them to its end, so it must let go of what hangs on it: of the stream that was read, and of the pool that Node
 * took the name's few bytes from, which others took much of.
 */
function add(zip: ZipFile & { entries?: { utf8FileName?: Buffer }[] }, path: string, at: Date | undefined, stream: Readable): void {
  let kept: Readable | null = stream
  zip.addReadStreamLazy(path, { mtime: writable(at) }, (give) => {
    give(null, kept!)
    kept = null
  })
  const entry = zip.entries?.at(-1)
  if (entry?.utf8FileName) entry.utf8FileName = unpooled(entry.utf8FileName)
}
const unpooled = (bytes: Buffer) => {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
}

function measuring(content: ZipEntry['content']) {
  const hash = createHash('sha256')
  let sizeBytes = 0
  return {
    async *chunks() {
      for await (const chunk of content) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
        hash.update(bytes)
        sizeBytes += bytes.length
        if (bytes.length > 0) yield bytes
      }
    },
    told: () => ({ sizeBytes, sha256: hash.digest('hex') }),
  }
}

/** The years that a zip can name. */
const writable = (at: Date = new Date()): Date => (at.getUTCFullYear() > 1980 && at.getUTCFullYear() < 2107 ? at : new Date())
