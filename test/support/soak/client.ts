import { setTimeout as delay } from 'node:timers/promises'
import { soakKey } from './cluster.ts'
import type { Faults } from './faults.ts'
import type { Answer } from './known.ts'
import type { Random } from './random.ts'

/** For how long a client waits for an answer before it asks again, maybe somebody else. */
const PATIENCE_MS = 15_000
const SHUNNED_MS = 10_000

export type Asked = { method: string; path: string; body?: unknown; headers?: Readonly<Record<string, string>> }

export type Client = {
  /** Asks one API once. @param api its number @throws when no answer came */
  ask(api: number, asked: Asked): Promise<Answer>
  /**
   * Asks, as a good client does, any API until the answer is one: after 503, or when none came, again after a while, with the same key.
   * @throws when the signal aborts before
   */
  settle(asked: Asked, signal: AbortSignal, isAnswer?: (answer: Answer) => boolean): Promise<{ answer: Answer; tries: number }>
  /** How many tries came to what: a status, or that there was no answer. */
  readonly tries: Readonly<Record<string, number>>
}

export function createClient(apis: readonly string[], random: Random, faults: Faults): Client {
  const tries: Record<string, number> = {}
  /** Who did not answer in time is left alone for a while, as a load balancer would, if there is another. */
  const shunnedUntil = apis.map(() => 0)
  const choose = () => {
    const all = apis.map((_, api) => api)
    const sound = all.filter((api) => shunnedUntil[api]! < performance.now())
    return random.pick(sound.length > 0 ? sound : all)
  }

  const ask: Client['ask'] = async (api, { method, path, body, headers = {} }) => {
    const came = (what: string | number) => {
      tries[what] = (tries[what] ?? 0) + 1
    }
    try {
      const isForm = body instanceof FormData
      const response = await fetch(`${apis[api]}${path.startsWith('/v1') || path === '/readyz' ? '' : '/v1'}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${soakKey}`,
          ...(body !== undefined && !isForm && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(PATIENCE_MS + (headers['prefer'] ? 15_000 : 0)),
      })
      const text = await response.text()
      const answer = { status: response.status, headers: response.headers, text, body: text === '' ? null : JSON.parse(text) }
      came(response.status)
      if (answer.status === 503 && !answer.headers.has('retry-after')) faults.add('a 503 without Retry-After', `${method} ${path}: ${text}`)
      if (answer.status >= 500 && answer.status !== 503) faults.add(`an answer ${answer.status}`, `${method} ${path}: ${text}`)
      return answer
    } catch (error) {
      const isLate = (error as Error).name === 'TimeoutError'
      came(isLate ? 'no answer in time' : 'no answer')
      if (isLate) shunnedUntil[api] = performance.now() + SHUNNED_MS
      throw error
    }
  }

  return {
    ask,
    tries,
    async settle(asked, signal, isAnswer = () => true) {
      for (let attempt = 1; ; attempt += 1) {
        const answer = await ask(choose(), asked).catch(() => null)
        if (answer && answer.status < 500 && isAnswer(answer)) return { answer, tries: attempt }
        const seconds = Number(answer?.headers.get('retry-after') ?? 0)
        const pauseMs = Math.min(Math.max(seconds * 1000, 100 * 2 ** Math.min(attempt, 4)), 3_000)
        await delay(pauseMs * (0.5 + random.next()), undefined, { signal })
      }
    },
  }
}
