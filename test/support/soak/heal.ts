import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Client } from './client.ts'
import type { Cluster } from './cluster.ts'
import type { Faults } from './faults.ts'
import { type Entry, type Known, knownOf } from './known.ts'
import type { Sent } from './load.ts'
import type { Random } from './random.ts'

const REPEATS = 500

/** What has to hold when nothing is done to the service any more. Each is waited for within its bound; what does not come true is a fault. */
export function createHeal(cluster: Cluster, client: Client, faults: Faults, tell: (line: string) => void) {
  const apis = cluster.apis.map((_, index) => index)
  const asked = new Set<string>()
  const create = async (api: number, signal: AbortSignal) => {
    for (;;) {
      const correlationId = randomUUID()
      asked.add(correlationId)
      const headers = { 'x-correlation-id': correlationId }
      const answer = await client.ask(api, { method: 'POST', path: '/contacts', body: { name: 'Fresh' }, headers }).catch(() => null)
      if (answer?.status === 201) return { id: answer.body.id as string, position: answer.headers.get('smartcrm-position')! }
      await delay(200, undefined, { signal })
    }
  }
  const see = async (api: number, { id, position }: { id: string; position: string }, signal: AbortSignal) => {
    for (;;) {
      const headers = { 'smartcrm-after': position, prefer: 'wait=5' }
      const answer = await client.ask(api, { method: 'GET', path: `/contacts/${id}`, headers }).catch(() => null)
      if (answer?.status === 200) return
      if (answer && answer.status < 500) faults.add('a query that does not find what was acknowledged', `${id}: ${answer.status}`)
      await delay(100, undefined, { signal })
    }
  }
  /** @returns whether it came true */
  const within = async (ms: number, what: string, work: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> => {
    const signal = AbortSignal.timeout(Math.ceil(ms))
    const failed = await work(signal).then(
      () => null,
      (error: Error) => error,
    )
    if (!failed) return true
    faults.add('what does not heal', `${what}, after ${Math.round(ms / 1000)} s${signal.aborted ? '' : ` (${failed.message})`}`)
    return false
  }

  return {
    /** The correlation ids of the contacts that were made here. */
    asked: asked as ReadonlySet<string>,
    /** Every API says that it is ready. */
    async ready(ms: number) {
      for (const api of apis) {
        let said = 'no answer'
        const isReady = await within(ms, `API ${api + 1} is not ready`, async (signal) => {
          for (;;) {
            const answer = await client.ask(api, { method: 'GET', path: '/readyz' }).catch(() => null)
            if (answer?.status === 200) return
            said = answer?.text ?? 'no answer'
            await delay(100, undefined, { signal })
          }
        })
        if (!isReady) tell(`API ${api + 1}: ${said}`)
      }
    },
    /** What each API is told, each of them shows. */
    async visible(ms: number) {
      for (const told of apis)
        await within(ms, `a contact of API ${told + 1} is not to be seen`, async (signal) => {
          const contact = await create(told, signal)
          for (const shown of apis) await see(shown, contact, signal)
        })
    },
    /** Whoever leads is killed, and a new contact is seen all the same. @returns how long that took in seconds, null if it did not come true */
    async takeover(ms: number): Promise<number | null> {
      const leader = cluster.leader()
      tell(`kill ${leader.name}, which leads`)
      const startedAt = performance.now()
      await leader.kill('SIGKILL')
      const isSeen = await within(ms, `nobody took over from ${leader.name}`, async (signal) => {
        const contact = await create(0, signal)
        for (const api of apis) await see(api, contact, signal)
      })
      const seconds = (performance.now() - startedAt) / 1000
      if (isSeen) tell(`${cluster.leader().name} leads, after ${seconds.toFixed(1)} s`)
      return isSeen ? seconds : null
    },
    /** Who sends a command again, whenever and to whom, is answered as the first time. */
    async repeats(sent: readonly Sent[], random: Random) {
      const made = sent.filter(({ made, kind }) => made && kind !== 'batch' && [...made.values()].some(({ length }) => length > 0))
      const drawn = made.length <= REPEATS ? made : Array.from({ length: REPEATS }, () => random.pick(made))
      for (const one of drawn) {
        const { answer } = await client.settle(one, AbortSignal.timeout(30_000))
        const again = {
          status: answer.status,
          text: answer.text,
          etag: answer.headers.get('etag'),
          position: answer.headers.get('smartcrm-position'),
        }
        const { status, text, etag, position } = one.answer!
        if (isDeepStrictEqual(again, { status, text, etag, position })) continue
        faults.add(
          'a repeat that is answered differently',
          `${one.kind} ${one.correlationId}: ${JSON.stringify(again)}, not ${JSON.stringify(one.answer)}`,
        )
      }
    },
    /** The lists of every API show all contacts as they were acknowledged. */
    async listed(entries: readonly Entry[]) {
      for (const api of apis) {
        const there = new Map<string, Known>()
        for (let cursor = ''; ; ) {
          const { answer } = await client.settle(
            { method: 'GET', path: `/contacts?archived=any&limit=200${cursor}` },
            AbortSignal.timeout(30_000),
          )
          for (const known of answer.body.data) there.set(known.id, known)
          if (answer.body.nextCursor === null) break
          cursor = `&cursor=${encodeURIComponent(answer.body.nextCursor)}`
        }
        for (const { known, busy } of entries) {
          const found = there.get(known.id)
          if (busy || (found && isDeepStrictEqual(knownOf(found), knownOf(known)))) continue
          faults.add(
            'a list that contradicts what was acknowledged',
            `API ${api + 1}: ${JSON.stringify(found)}, not ${JSON.stringify(known)}`,
          )
        }
      }
    },
  }
}
