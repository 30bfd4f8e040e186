import { get } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { comparePositions, parsePosition } from '../../../src/platform/position.ts'
import type { Book } from './book.ts'
import type { Client } from './client.ts'
import { soakKey } from './cluster.ts'
import type { Faults } from './faults.ts'
import { type Answer, knownOf } from './known.ts'
import type { Random } from './random.ts'

const isBefore = (a: string | null, b: string) => {
  const position = parsePosition(a ?? '')
  return !position || comparePositions(position, parsePosition(b)!) < 0
}

/** Asks queries all the time: nothing that they answer may be older than what they were told that the asker knows. */
export function startReaders(apis: number, book: Book, client: Client, random: Random, faults: Faults) {
  const ending = new AbortController()
  let asked = 0
  let answered = 0

  const query = async (api: number, path: string, after: string): Promise<Answer | null> => {
    asked += 1
    const headers: Record<string, string> = after === '' ? {} : { 'smartcrm-after': after, prefer: 'wait=5' }
    const answer = await client.ask(api, { method: 'GET', path, headers }).catch(() => null)
    if (!answer || answer.status >= 500) return null
    answered += 1
    const seen = answer.headers.get('smartcrm-position')
    if (after !== '' && answer.status === 200 && isBefore(seen, after)) {
      faults.add('an answer from before what was asked for', `${path} of API ${api + 1} after ${after} is of ${seen}`)
    }
    return answer
  }

  /** A contact as of its last acknowledged change, or later. */
  const readContact = async (api: number) => {
    if (book.entries.length === 0) return
    const { known, position } = random.pick(book.entries)
    const answer = await query(api, `/contacts/${known.id}`, position)
    if (!answer) return
    const what = `${known.id} of API ${api + 1} after ${position}`
    if (answer.status !== 200) faults.add('a query that does not find what was acknowledged', `${what}: ${answer.status} ${answer.text}`)
    else if (answer.body.revision < known.revision) {
      faults.add('a query that answers what was before', `${what}: revision ${answer.body.revision}, not ${known.revision}`)
    } else if (answer.body.revision === known.revision && !isDeepStrictEqual(knownOf(answer.body), knownOf(known))) {
      faults.add('a query that contradicts what was acknowledged', `${what}: ${answer.text}, not ${JSON.stringify(known)}`)
    }
  }

  const read = async (index: number) => {
    // One who asks now this API, now that one, and never wants to go back behind what it saw.
    let seen = ''
    while (!ending.signal.aborted) {
      const api = Math.floor(random.next() * apis)
      if (index > 0) await readContact(api)
      else {
        const answer = await query(api, '/contacts?sort=-updatedAt&archived=any&limit=5', seen)
        seen = (answer?.status === 200 && answer.headers.get('smartcrm-position')) || seen
      }
      await delay(50 + random.next() * 100, undefined, { signal: ending.signal }).catch(() => {})
    }
  }
  const reading = Promise.all([0, 1, 2].map(read))

  return {
    counts: () => ({ asked, answered }),
    async stop() {
      ending.abort()
      await reading
    },
  }
}

export type Follower = {
  /** The positions of all events that it was told of. */
  readonly positions: readonly string[]
  /** Up to where it knows that it was told of everything. */
  reached(): string
  connections(): number
  close(): void
}

/** Longer than a comment takes to come: who is told nothing for so long connects again. */
const SILENCE_MS = 40_000

/** Follows the live journal of one API from the first event on, and goes on where it was whenever it is cut off. */
export function followJournal(url: string, faults: Faults): Follower {
  const positions: string[] = []
  const closing = new AbortController()
  let last = '0.0'
  let connections = 0

  const follow = () =>
    new Promise<void>((resolve) => {
      const headers = { authorization: `Bearer ${soakKey}`, accept: 'text/event-stream', 'last-event-id': last }
      const request = get(`${url}/v1/events`, { headers, agent: false, signal: closing.signal }, (response) => {
        if (response.statusCode === 200) connections += 1
        const lines = createInterface(response)
        let id = ''
        let isEvent = false
        // What is cut off before its empty line was never told.
        lines.on('line', (line) => {
          if (line.startsWith('id: ')) id = line.slice(4)
          else if (line.startsWith('data: ')) isEvent = true
          else if (line === '' && id !== '') {
            if (isEvent && !isBefore(last, id)) faults.add('a live journal that goes back', `${url}: ${id} after ${last}`)
            if (isEvent) positions.push(id)
            last = id
            isEvent = false
          }
        })
        // The interface passes the response's errors on.
        lines.on('error', () => {})
        response.on('error', () => {}).on('close', resolve)
      })
      request.setTimeout(SILENCE_MS, () => request.destroy())
      request.on('error', () => resolve())
    })
  const run = async () => {
    while (!closing.signal.aborted) {
      await follow()
      await delay(200, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  void run()

  return { positions, reached: () => last, connections: () => connections, close: () => closing.abort() }
}
