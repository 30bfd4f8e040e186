/**
 * An import of very many contacts is undone in one job, except where they were edited since: all roles as processes, whose processor time and memory are told,
 * and how far the job said that it was. Arguments, with what they are unless given: contacts=100000 edited=100
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Import } from '../../schema/import.ts'
import type { Undo } from '../../schema/undo.ts'
import { cpuSeconds, peakMegabytes } from '../bench/service/processes.ts'
import { get, upload } from '../support/imports.ts'
import { startWhole } from '../support/whole.ts'

const given = Object.fromEntries(process.argv.slice(2).map((argument) => argument.split('=') as [string, string]))
const [contacts, edited] = [Number(given['contacts'] ?? 100_000), Number(given['edited'] ?? 100)]
const key = 'a-key-for-tests-0123456789'
const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
const roles = ['eventstore', 'api', 'projector', 'worker'] as const
const LOOK_MS = 500
/** Beyond this a process holds what it should read a page at a time. */
const MOST_MEGABYTES = 500

t.setTimeout(24 * 3_600_000)
const folder = await mkdtemp(join(tmpdir(), 'smartcrm-undo-'))
await chmod(folder, 0o755)
t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

t.test('an import of very many is undone except where it was edited since', async (t) => {
  const service = await startWhole(t, folder, { SMARTCRM_ADMIN_KEY: key })
  const postmaster = await service.postmaster()
  const used = async () => ({
    ...Object.fromEntries(await Promise.all(roles.map(async (role) => [role, await cpuSeconds(service.pids(role).at(-1)!)] as const))),
    postgres: await cpuSeconds(postmaster, true),
  })
  const send = (method: string, path: string, body: object) =>
    fetch(service.url + path, { method, headers: { ...headers, prefer: 'wait=0' }, body: JSON.stringify(body) })

  /** Runs something to its end, and tells what it took. */
  const measure = async <T extends { done: number }>(what: string, path: string, isDone: (of: T) => boolean) => {
    const [before, begun] = [await used(), performance.now()]
    const told: number[] = []
    let of: T
    do {
      await delay(LOOK_MS)
      ;({ body: of } = await get<T>(service, path))
      if (of.done !== told.at(-1)) told.push(of.done)
    } while (!isDone(of))
    const [seconds, after] = [(performance.now() - begun) / 1_000, await used()]
    t.comment(
      `${what}: ${contacts} in ${seconds.toFixed(1)} s, ${Math.round(contacts / seconds)} a second, told ${told.length} times how far`,
    )
    const each = Object.entries(after).map(
      ([role, cpu]) => [role, ((cpu - (before as Record<string, number>)[role]!) * 1_000) / contacts] as const,
    )
    t.comment(`milliseconds of processor a contact: ${each.map(([role, ms]) => `${role} ${ms.toFixed(2)}`).join(', ')}`)
    const peaks = await Promise.all(roles.map(async (role) => [role, await peakMegabytes(service.pids(role).at(-1)!)] as const))
    t.comment(`most megabytes: ${peaks.map(([role, megabytes]) => `${role} ${megabytes}`).join(', ')}`)
    for (const [role, megabytes] of peaks) t.ok(megabytes < MOST_MEGABYTES, `${role} had ${megabytes} MB at most`)
    t.strictSame(
      told,
      told.toSorted((a, b) => a - b),
      'it never went back',
    )
    return of
  }

  const rows = Array.from(
    { length: contacts },
    (_, i) => `Person ${i},p${i}@example.com,+44 20 7946 ${String(i % 10_000).padStart(4, '0')}`,
  )
  const { body: started } = await upload(service, Buffer.from(`Name,Email,Phone\n${rows.join('\n')}\n`))
  const imported = await measure<Import>('import', `/v1/imports/${started.id}`, ({ state }) => state === 'finished')
  t.equal(imported.counts.created, contacts)

  const { body } = await get<{ data: { contactId: string }[] }>(service, `/v1/imports/${started.id}/results?limit=${edited}`)
  for (const { contactId } of body.data) await send('PATCH', `/v1/contacts/${contactId}`, { company: 'Edited' })
  const asked = (await (await send('POST', '/v1/undo', { correlationId: started.id })).json()) as Undo
  const undone = await measure<Undo>('undo', `/v1/undos/${asked.id}`, ({ state }) => state === 'finished')
  t.match(undone, { done: contacts, counts: { undone: contacts - edited, conflict: edited, partly: 0, unchanged: 0, absent: 0 } })
})
