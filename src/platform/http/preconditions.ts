import { hash } from 'node:crypto'
import { Invalid } from '../refusal.ts'

/** An entity tag (RFC 9110 §8.8.3) of an answer: `"<revision>.<digest>"`, or `"<digest>"` where the answer has no revision of its own. */
export function etagOf(text: string, revision?: number): string {
  const digest = hash('sha256', text, 'base64url').slice(0, 22)
  return revision === undefined ? `"${digest}"` : `"${revision}.${digest}"`
}

/**
 * The revisions that `If-Match` names: what stands before the dot in each tag. `*` means: any, if it exists.
 * A weak tag or one that is not ours names none, so it never matches (RFC 9110 §13.1.1 asks for strong comparison).
 */
export function revisionsOf(ifMatch: string | undefined): readonly number[] | '*' | undefined {
  if (ifMatch === undefined) return undefined
  if (ifMatch.trim() === '*') return '*'
  return [...ifMatch.matchAll(/(W\/)?"(\d{1,15})\.[\w-]*"/g)].filter(([, weak]) => !weak).map(([, , revision]) => Number(revision))
}

/** Whether `If-None-Match` names the tag (weak comparison, RFC 9110 §13.1.2). */
export const matchesNone = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch !== undefined && (ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))

const MAX_WAIT_SECONDS = 30

/** How long `Prefer: wait=N` (RFC 7240 §4.3) lets an answer take, in seconds: 5 unless it says, 30 at most. */
export function waitSeconds(prefer: string | undefined): number {
  // Preferences are parted by commas, except within quotes; of those with one name the first counts.
  for (const preference of prefer?.match(/(?:[^",]|"(?:[^"\\]|\\.)*")+/g) ?? []) {
    const [, seconds] = /^\s*wait\s*=\s*"?(\d+)"?\s*(?:;|$)/i.exec(preference) ?? []
    if (seconds) return Math.min(Number(seconds), MAX_WAIT_SECONDS)
  }
  return 5
}

/** `Idempotency-Key` as it was sent, or undefined. @throws Invalid when it is blank, longer than 255 characters or not printable ASCII */
export function idempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined
  if (typeof header !== 'string' || !/^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$/.test(header)) {
    throw new Invalid([{ path: '/headers/idempotency-key', message: 'must be 1 to 255 printable ASCII characters, once' }])
  }
  return header
}
