import { setTimeout as delay } from 'node:timers/promises'
import type { RecordedEvent } from '../../../src/platform/event.ts'
import type { Client } from './client.ts'
import type { Faults } from './faults.ts'

const ROWS = 20

/** Sends a file of contacts now and then: what workers, reactors and jobs are for. */
export function startImports(client: Client, faults: Faults, run: string, everyMs: number) {
  const ending = new AbortController()
  const givingUp = new AbortController()
  const imports: { id: string; addresses: string[] }[] = []
  let count = 0

  const send = async () => {
    count += 1
    const addresses = Array.from({ length: ROWS }, (_, row) => `import-${count}-${row}@${run}.example.com`)
    const file = `Name,Email\n${addresses.map((address, row) => `Imported ${count} ${row},${address}`).join('\n')}\n`
    const body = new FormData()
    body.append('file', new Blob([file]), 'people.csv')
    const { answer } = await client.settle({ method: 'POST', path: '/imports', body }, givingUp.signal)
    if (answer.status === 202) imports.push({ id: answer.body.id, addresses })
    else faults.add('an import that was refused', `${answer.status} ${answer.text}`)
  }
  const keepSending = async () => {
    while (!ending.signal.aborted) {
      await send().catch(() => {})
      await delay(everyMs, undefined, { signal: ending.signal }).catch(() => {})
    }
  }
  const running = keepSending()

  const isFinished = async ({ id }: { id: string }) => {
    const answer = await client.ask(0, { method: 'GET', path: `/imports/${id}` }).catch(() => null)
    return answer?.status === 200 && answer.body.state === 'finished' && answer.body.counts
  }

  return {
    count: () => imports.length,
    stop: () => ending.abort(),
    /** Waits until all that were taken in are at their end. */
    async finish(withinMs: number) {
      ending.abort()
      const end = performance.now() + withinMs
      setTimeout(() => givingUp.abort(), withinMs).unref()
      await running
      for (const one of imports) {
        for (;;) {
          const counts = await isFinished(one)
          if (counts) {
            if (counts.created !== ROWS) faults.add('an import with another end', `${one.id}: ${JSON.stringify(counts)}`)
            break
          }
          if (performance.now() > end) {
            const { text } = await client.ask(0, { method: 'GET', path: `/imports/${one.id}` }).catch(() => ({ text: 'no answer' }))
            faults.add('an import that does not come to its end', `${one.id}: ${text}`)
            break
          }
          await delay(200)
        }
      }
    },
    /** Each of their contacts is there once. */
    check(events: readonly RecordedEvent[]) {
      const created = events
        .filter(({ type }) => type === 'ContactCreated')
        .map(({ data }) => data as { methods: { normalized?: string }[] })
      const counts = new Map<string, number>()
      for (const { methods } of created)
        for (const { normalized = '' } of methods) counts.set(normalized, (counts.get(normalized) ?? 0) + 1)
      for (const { id, addresses } of imports)
        for (const address of addresses)
          if (counts.get(address) !== 1)
            faults.add('an import that lost or doubled', `${id}: ${address} is there ${counts.get(address) ?? 0} times`)
    },
  }
}
