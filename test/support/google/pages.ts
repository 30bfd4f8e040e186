import { createHash } from 'node:crypto'
import type { Clock } from './clock.ts'
import { invalidArgument } from './errors.ts'

type Token = { after: string; query: string; at: number }

/** Tokens of further pages. They name what the page before ended with, so that what comes and goes in between moves no page. */
export type Pages = {
  /** @param query what the pages are of @returns what the page begins after, or null for the first one */
  read(token: string | null, query: string): string | null
  next(after: string, query: string): string
  /** Makes all that were given out invalid. */
  expire(): void
}

/** @param lifeSeconds how long tokens are good, in Google's time */
export function createPages(clock: Clock, lifeSeconds = 3_600): Pages {
  let oldest = 0
  const digest = (query: string) => createHash('sha256').update(query).digest('base64url').slice(0, 8)
  return {
    read(token, query) {
      if (token === null || token === '') return null
      let read: Token
      try {
        read = JSON.parse(Buffer.from(token, 'base64url').toString())
      } catch {
        throw invalidArgument('Invalid pageToken')
      }
      const isGood = read.query === digest(query) && read.at > oldest && read.at > clock.now() - lifeSeconds * 1000
      if (!isGood) throw invalidArgument('Invalid pageToken')
      return read.after
    },
    next: (after, query) =>
      Buffer.from(JSON.stringify({ after, query: digest(query), at: clock.now() } satisfies Token)).toString('base64url'),
    expire() {
      oldest = clock.now()
    },
  }
}
