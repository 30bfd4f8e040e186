import { createReadStream, type Stats } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Forms } from './forms.ts'
import type { Scanning } from './scan.ts'

/**
 * Every file below these paths, byte by byte. What was gone before it could be read is no matter. A link is followed only where it is one of the paths.
 */
export async function scanFiles(
  paths: readonly string[],
  forms: readonly Forms[],
  scanning: Scanning,
  isSkipped: (path: string) => boolean,
): Promise<void> {
  const { signal, unread, place } = scanning
  const seek = seeker(forms)
  const visit = async (path: string, about: Promise<Stats>): Promise<void> => {
    signal?.throwIfAborted()
    if (isSkipped(path)) return
    try {
      const kind = await about
      if (kind.isDirectory()) for (const name of (await readdir(path)).sort()) await visit(join(path, name), lstat(join(path, name)))
      else if (kind.isFile()) {
        place()
        await scanBytes(`file ${path}`, createReadStream(path, { highWaterMark: CHUNK_BYTES }), seek, scanning)
      } else if (kind.isSymbolicLink()) unread(`file ${path}`, Object.assign(new Error(), { code: 'it is a link' }))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      signal?.throwIfAborted()
      unread(`file ${path}`, error)
    }
  }
  for (const path of paths) await visit(path, stat(path))
}

const CHUNK_BYTES = 1024 * 1024

/** Looks through bytes as they come, those that lie across two pieces too. @throws what reading them throws */
export async function scanBytes(place: string, content: AsyncIterable<Buffer>, seek: Seeker, { found, read }: Scanning): Promise<void> {
  const counts = new Map<string, number>()
  let rest = Buffer.alloc(0)
  for await (const piece of content) {
    read(piece.length)
    const bytes = rest.length > 0 ? Buffer.concat([rest, piece]) : piece
    // What begins in the last bytes may go on, and is looked for with the next piece.
    const end = Math.max(0, bytes.length - seek.longest + 1)
    seek.count(bytes, end, counts)
    rest = Buffer.from(bytes.subarray(end))
  }
  seek.count(rest, rest.length, counts)
  for (const [kind, count] of counts) found({ place, kind, count })
}

export type Seeker = { readonly longest: number; count(bytes: Buffer, end: number, counts: Map<string, number>): void }

/**
 * Bytes are looked at as if each were a letter (latin1), and lower case is taken of them as such, on both sides: quick, and of UTF-8 beyond ASCII it
 * finds what is written in the same case, in upper or in lower.
 */
export function seeker(forms: readonly Forms[]): Seeker {
  const latin = (text: string) => Buffer.from(text).toString('latin1')
  const needles = forms.flatMap(({ kind, value, plain, exact }) => [
    ...[...new Set([...plain, value, value.toUpperCase()].map((form) => latin(form).toLowerCase()))].map((needle) => ({
      kind,
      needle,
      isExact: false,
    })),
    ...exact.map((needle) => ({ kind, needle, isExact: true })),
  ])
  return {
    longest: Math.max(1, ...needles.map(({ needle }) => needle.length)),
    /** Occurrences that begin before `end`. */
    count(bytes, end, counts) {
      const exact = bytes.toString('latin1')
      const lower = exact.toLowerCase()
      for (const { kind, needle, isExact } of needles) {
        const text = isExact ? exact : lower
        for (let at = text.indexOf(needle); at >= 0 && at < end; at = text.indexOf(needle, at + needle.length))
          counts.set(kind, (counts.get(kind) ?? 0) + 1)
      }
    },
  }
}
