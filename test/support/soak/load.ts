import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from './client.ts'
import type { Commands } from './commands.ts'
import type { Faults } from './faults.ts'
import type { Answer, Command } from './known.ts'

/** A command as it was sent, and what came of it. */
export type Sent = {
  readonly kind: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly headers: Readonly<Record<string, string>>
  /** By which its events are found in the log. */
  readonly correlationId: string
  /** Null as long as nobody knows. */
  answer: (Pick<Answer, 'status' | 'text'> & { etag: string | null; position: string | null }) | null
  /** Of a success: the types of the events that it made, by contact. */
  made: ReadonlyMap<string, readonly string[]> | null
  tries: number
}

export type Load = {
  readonly sent: readonly Sent[]
  /** How many wait for their answer. */
  waiting(): number
  /** How many were not sent because too many were waiting. */
  leftOut(): number
  /** Sends no more, and waits until each has its answer. @returns how many have none after that time */
  stop(withinMs: number): Promise<number>
}

/** Sends commands at a rate, as long as the service keeps up somehow. @param rate a second */
export function startLoad(commands: Commands, client: Client, faults: Faults, rate: number): Load {
  const sent: Sent[] = []
  const ending = new AbortController()
  const givingUp = new AbortController()
  const waiting = new Set<Promise<void>>()
  // More would only wait in the service, each the longer.
  const most = Math.min(100, Math.max(20, rate))
  let leftOut = 0

  const send = async (command: Command) => {
    const { kind, method, path, body } = command
    const correlationId = randomUUID()
    const headers = { 'idempotency-key': randomUUID(), 'x-correlation-id': correlationId, ...command.headers }
    const one: Sent = {
      kind,
      method,
      path,
      ...(body !== undefined && { body }),
      headers,
      correlationId,
      answer: null,
      made: null,
      tries: 0,
    }
    sent.push(one)
    const what = () => `${kind}: ${method} ${path} ${correlationId}`
    try {
      const { answer, tries } = await client.settle(one, givingUp.signal, isWhole)
      one.answer = { ...answer, etag: answer.headers.get('etag'), position: answer.headers.get('smartcrm-position') }
      one.tries = tries
      if (answer.status < 300) one.made = command.succeeded(answer)
      else if (command.refusals?.includes(answer.body?.code)) command.refused?.(answer)
      else throw new Error(`refused with ${answer.status} ${answer.text}`)
    } catch (error) {
      // What is not known of a contact from here on would make faults of all that follows: it stays busy.
      if (givingUp.signal.aborted) return
      faults.add('an answer that contradicts what was acknowledged', `${what()}: ${(error as Error).message}`)
      return
    }
    command.done()
  }

  const run = async () => {
    const startedAt = performance.now()
    for (let due = 0; !ending.signal.aborted; await delay(10, undefined, { signal: ending.signal }).catch(() => {})) {
      for (const now = ((performance.now() - startedAt) / 1000) * rate; due < now; due += 1) {
        if (waiting.size >= most) {
          leftOut += 1
          continue
        }
        for (const command of commands.draw()) {
          const answered = send(command).finally(() => waiting.delete(answered))
          waiting.add(answered)
        }
      }
    }
  }
  const running = run()

  return {
    sent,
    waiting: () => waiting.size,
    leftOut: () => leftOut,
    async stop(withinMs) {
      ending.abort()
      await running
      await Promise.race([Promise.all(waiting), delay(withinMs, undefined, { ref: false })])
      const left = waiting.size
      givingUp.abort()
      await Promise.all(waiting)
      return left
    },
  }
}

/** A batch is answered as a whole when none of its inputs has to be sent again. */
const isWhole = ({ status, body }: Answer): boolean =>
  status !== 207 || (body.results as { status: number }[]).every(({ status }) => status < 500)
