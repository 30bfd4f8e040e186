import type { ByteRange } from '../blobs.ts'

/**
 * The one range of bytes that is asked for (RFC 9110 §14), cut at the end. Undefined where the whole is to be sent: nothing is asked, or what is not
 * understood, or several ranges, which a server may ignore. Null when it cannot be satisfied (416).
 */
export function rangeOf(header: string | undefined, sizeBytes: number): ByteRange | null | undefined {
  const [, first, last] = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || first + last === '') return undefined
  if (first === '') {
    // The last so many.
    return Number(last) === 0 || sizeBytes === 0 ? null : { start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  if (start >= sizeBytes) return null
  return { start, end: last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) }
}

/** Whether a range may be sent for this `If-Range` (§13.1.5): it names just this content, by a strong tag. A date never does: we give none. */
export const ifRangeHolds = (header: string | undefined, etag: string): boolean => header === undefined || header.trim() === etag

/** Whether `If-Match` holds (§13.1.1, strong comparison). */
export const ifMatchHolds = (header: string | undefined, etag: string): boolean =>
  header === undefined || header.trim() === '*' || header.split(',').some((tag) => tag.trim() === etag)
