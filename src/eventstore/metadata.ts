/** What a stream's metadata hides of it. Everything else in the metadata is the clients' own. */
export type Retention = { maxCount?: number; maxAgeMs?: number; before?: number }

/** In `$tb`: the whole stream is deleted (softly: written again, it goes on at its next revision). */
const DELETED_FROM = Number.MAX_SAFE_INTEGER

export const METADATA_TYPE = '$metadata'

/** The server keeps one metadata event a stream: the last. */
const METASTREAM: Retention = { maxCount: 1 }

export function isMetastream(name: string): boolean {
  return name.startsWith('$$')
}

export function metastreamOf(name: string): string {
  return `$$${name}`
}

export function originalOf(metastream: string): string {
  return metastream.slice(2)
}

/** The retention that the body of a `$metadata` event asks for; a body that is no JSON object asks for none, as on the server. */
export function readRetention(stream: string, body: Uint8Array | undefined): Retention {
  if (isMetastream(stream)) return METASTREAM
  if (!body) return {}
  try {
    const told: unknown = JSON.parse(Buffer.from(body).toString())
    if (typeof told !== 'object' || told === null) return {}
    const { $maxCount, $maxAge, $tb } = told as Record<string, unknown>
    return {
      ...(isCount($maxCount) && $maxCount > 0 && { maxCount: $maxCount }),
      ...(isCount($maxAge) && $maxAge > 0 && { maxAgeMs: $maxAge * 1000 }),
      ...(isCount($tb) && { before: $tb }),
    }
  } catch {
    return {}
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0
}

export function isSoftDeleted(retention: Retention): boolean {
  return retention.before !== undefined && retention.before >= DELETED_FROM
}

/** The lowest revision that readers may see of a stream whose last revision is `head`. */
export function firstVisible(retention: Retention, head: number): number {
  return Math.max(0, retention.before ?? 0, retention.maxCount === undefined ? 0 : head - retention.maxCount + 1)
}

/** The metadata of a softly deleted stream: `$tb` is the largest 64-bit number, which JSON.stringify cannot write. */
export const DELETED_METADATA = Buffer.from('{"$tb":9223372036854775807}')

/** The metadata of a deleted stream that is written again from `revision` on: nothing else in it changes. */
export function undeletedMetadata(body: Uint8Array, revision: number): Buffer {
  return Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(body).toString()), $tb: revision }))
}
