import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Pool } from './database.ts'
import type { Logger } from './log.ts'

const MAX_BACKOFF_MS = 5_000
const CHECK_MS = 10_000

export type Listener = {
  /** Whether it hears what is told just now. */
  isConnected(): boolean
  close(): Promise<void>
}

/**
 * Hears what is told on channels of Postgres, on a connection of its own that is made again whenever it breaks. What is told meanwhile is lost, so
 * whoever listens also looks for himself now and then, and at once when `onConnected` is called.
 * @param checkMs how often it is asked whether the connection still answers
 */
export function listen(
  pool: Pool,
  log: Logger,
  channels: readonly string[],
  onTold: (channel: string, payload: string) => void,
  onConnected: () => void,
  checkMs = CHECK_MS,
): Listener {
  const closing = new AbortController()
  const { signal } = closing
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

  let isConnected = false

  const hear = async (client: pg.Client) => {
    for (const channel of channels) await client.query(`listen ${client.escapeIdentifier(channel)}`)
  }

  /** Nothing is told for hours at times, and a connection whose other end is gone looks just the same. @throws when it does not answer */
  const checked = async (client: pg.Client) => {
    while (!signal.aborted) {
      await delay(checkMs, undefined, { signal }).catch(() => {})
      if (!signal.aborted) await hear(client)
    }
  }

  const once = async () => {
    const client = await pool.connect()
    try {
      const ended = new Promise<void>((resolve) => client.once('end', resolve).once('error', () => resolve()))
      client.on('notification', ({ channel, payload = '' }) => onTold(channel, payload))
      await hear(client)
      isConnected = true
      onConnected()
      await Promise.race([ended, aborted, checked(client)])
    } finally {
      isConnected = false
      client.on('error', () => {})
      await Promise.race([client.end().catch(() => {}), delay(1_000, undefined, { ref: false })])
    }
  }

  const run = async () => {
    for (let failures = 1; !signal.aborted; failures += 1) {
      const since = performance.now()
      const err = await once().then(
        () => undefined,
        (error: Error) => error,
      )
      if (signal.aborted) return
      if (performance.now() - since > MAX_BACKOFF_MS) failures = 1
      log.warn({ err, channels }, 'a connection that listens ended; connecting again')
      await delay(Math.random() * Math.min(100 * 2 ** failures, MAX_BACKOFF_MS), undefined, { signal }).catch(() => {})
    }
  }
  const running = run()
  return {
    isConnected: () => isConnected,
    async close() {
      closing.abort()
      await running
    },
  }
}
