import { closeSync, openSync, readSync, type Stats } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as others } from 'node:timers/promises'
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
        await scanBytes(`file ${path}`, pieces(path, kind.size), seek, scanning)
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

/** A cluster has thousands of small files, for which reading at once takes a tenth of what asking for it does; others have their turn after each piece. */
async function* pieces(path: string, sizeBytes: number): AsyncGenerator<Buffer> {
  const file = openSync(path, 'r')
  try {
    for (;;) {
      const bytes = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, sizeBytes + 1))
      const length = readSync(file, bytes)
      if (length === 0) return
      yield bytes.subarray(0, length)
      await others()
    }
  } finally {
    closeSync(file)
  }
}

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

/** As if each byte were a letter (latin1): of UTF-8 beyond ASCII what is written in the same case, in upper or in lower is the same then. */
const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte).toLowerCase().charCodeAt(0))

type Needle = { readonly kind: string; readonly bytes: Buffer; readonly isExact: boolean; readonly number: number }

/** How many bytes are looked at to tell how far one may leap. No needle is as short. */
const BLOCK = 2

/**
 * Looks for all forms of all values at once, leaping over what cannot be the end of any (Wu and Manber, A fast algorithm for multi-pattern searching, 1994,
 * with blocks of two bytes): a hundred forms cost hardly more than one.
 */
export function seeker(forms: readonly Forms[]): Seeker {
  const lowered = (text: string) => Buffer.from(text).map((byte) => LOWER[byte]!) as Buffer
  const needles: Needle[] = forms
    .flatMap(({ kind, value, plain, exact }) => [
      ...new Map(
        [...plain, value, value.toUpperCase()].map((form) => [
          lowered(form).toString('latin1'),
          { kind, bytes: lowered(form), isExact: false },
        ]),
      ).values(),
      ...exact.map((form) => ({ kind, bytes: Buffer.from(form), isExact: true })),
    ])
    .map((needle, number) => ({ ...needle, number }))
  const least = Math.min(...needles.map(({ bytes }) => bytes.length))
  const leap = new Uint8Array(65_536).fill(Math.min(255, least - BLOCK + 1))
  const endingIn = new Map<number, Needle[]>()
  for (const needle of needles) {
    for (let at = 1; at < least; at += 1) {
      const block = (LOWER[needle.bytes[at - 1]!]! << 8) | LOWER[needle.bytes[at]!]!
      leap[block] = Math.min(leap[block]!, least - 1 - at)
      if (at === least - 1) endingIn.set(block, [...(endingIn.get(block) ?? []), needle])
    }
  }
  const isAt = ({ bytes: needle, isExact }: Needle, bytes: Buffer, from: number): boolean => {
    if (from + needle.length > bytes.length) return false
    for (let at = 0; at < needle.length; at += 1) if ((isExact ? bytes[from + at]! : LOWER[bytes[from + at]!]!) !== needle[at]) return false
    return true
  }
  return {
    longest: Math.max(1, ...needles.map(({ bytes }) => bytes.length)),
    /** Occurrences that begin before `end`. */
    count(bytes, end, counts) {
      const past = new Uint32Array(needles.length)
      for (let at = least - 1; at < bytes.length; ) {
        const block = (LOWER[bytes[at - 1]!]! << 8) | LOWER[bytes[at]!]!
        if (leap[block]! > 0) {
          at += leap[block]!
          continue
        }
        const from = at - least + 1
        if (from >= end) return
        for (const needle of endingIn.get(block) ?? []) {
          if (from < past[needle.number]! || !isAt(needle, bytes, from)) continue
          past[needle.number] = from + needle.bytes.length
          counts.set(needle.kind, (counts.get(needle.kind) ?? 0) + 1)
        }
        at += 1
      }
    },
  }
}
