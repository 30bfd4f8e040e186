import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Undo } from '../../../schema/undo.ts'
import { finished, get, upload } from '../imports.ts'
import { until } from '../processes.ts'
import { type Crashing, key } from './service.ts'

/*
 * An import that is undone except where it was edited since, and an undo in whose middle everything is killed: it ends as one that nobody disturbed.
 * `UNDO_ROWS=10000` is the long form.
 */
const ROWS = Number(process.env['UNDO_ROWS'] ?? 400)
const EDITED = 7
/** The machine may have other things to do. */
export const LIMIT_MS = 300_000 + 300 * ROWS

type Event = { type: string; stream: string; revision: number; correlationId: string }

export async function undoCrash(t: Test, crm: Crashing): Promise<void> {
  const service = { url: crm.whole.url, key }
  const rows = Array.from({ length: ROWS }, (_, i) => `Undone ${i},u${i}@example.com,+44 20 7947 ${String(i % 10_000).padStart(4, '0')}`)
  const { body: started } = await upload(service, Buffer.from(`Name,Email,Phone\n${rows.join('\n')}\n`))
  t.equal((await finished(service, started.id, LIMIT_MS / 1_000)).counts.created, ROWS)
  const results = await get<{ data: { contactId: string }[] }>(service, `/v1/imports/${started.id}/results?limit=${EDITED}`)
  const edited = results.body.data.map(({ contactId }) => contactId)
  for (const id of edited) await send(service.url, 'PATCH', `/v1/contacts/${id}`, { company: 'Edited' })

  const begunAt = performance.now()
  const asked = await send(service.url, 'POST', '/v1/undo', { correlationId: started.id }, { prefer: 'wait=0' })
  t.equal(asked.status, 202)
  const { id } = asked.body as Undo
  await until('some of it undone', async () => (await get<Undo>(service, `/v1/undos/${id}`)).body.done > ROWS / 20)
  await crm.crash()

  const again = { url: crm.whole.url, key }
  const before = (await archived(again.url, id)).length
  t.ok(before < ROWS - EDITED, `it was interrupted in its middle, after ${before}`)
  const undone = async () => (await get<Undo>(again, `/v1/undos/${id}`)).body
  await ended(undone)
  t.comment(`${ROWS} contacts undone in ${Math.round(performance.now() - begunAt)} ms, with everything killed in between`)
  t.match(await undone(), { done: ROWS, counts: { undone: ROWS - EDITED, conflict: EDITED, partly: 0, unchanged: 0, absent: 0 } })
  const events = await archived(again.url, id)
  t.equal(events.length, ROWS - EDITED, 'each was archived once')
  t.equal(new Set(events.map(({ stream }) => stream)).size, ROWS - EDITED)
  t.notOk(
    events.some(({ stream }) => edited.includes(stream.slice('contact-'.length))),
    'and none that was edited since',
  )
}

async function ended(undone: () => Promise<Undo>) {
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await delay(100))
    if ((await undone().catch(() => null))?.state === 'finished') return
  throw new Error('waited in vain for the end of the undo')
}

const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
async function send(url: string, method: string, path: string, body: object, more = {}) {
  const response = await fetch(url + path, { method, headers: { ...headers, ...more }, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}

/** What an undo archived, by the log. */
async function archived(url: string, undoId: string): Promise<Event[]> {
  const events: Event[] = []
  for (let after = ''; ; ) {
    const response = await fetch(`${url}/v1/events?category=contact&limit=1000${after}`, { headers })
    const { data, nextAfter, more } = (await response.json()) as { data: Event[]; nextAfter: string; more: boolean }
    events.push(...data.filter(({ type, correlationId }) => type === 'ContactArchived' && correlationId === undoId))
    if (!more) return events
    after = `&after=${nextAfter}`
  }
}
