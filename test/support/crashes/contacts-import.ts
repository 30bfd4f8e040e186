import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { startNode, until } from '../processes.ts'
import { main, ownEnvironment } from '../whole.ts'
import { type Crashing, key } from './service.ts'

/*
 * An import in whose middle everything is killed, the importing command too, and which is then begun again: it ends as one that nobody disturbed.
 * `IMPORT_ROWS=10000` is the long form.
 */
const ROWS = Number(process.env['IMPORT_ROWS'] ?? 160)
// Some have no address, and some rows are about somebody who was there before: both have to find their own contact again.
const rows = Array.from({ length: ROWS }, (_, i) =>
  i % 10 === 3 ? `Nobody ${i},,+44 20 7946 ${String(i).padStart(4, '0')}` : `Person ${i},p${i % 50 === 7 ? i - 5 : i}@example.com,`,
)
const addresses = new Set(rows.flatMap((row) => /p\d+@example.com/.exec(row)?.[0] ?? []))
const expected = addresses.size + rows.filter((row) => row.startsWith('Nobody')).length

type Event = { type: string; stream: string; correlationId: string; data: { contactId?: string } }

export async function contactsImportCrash(t: Test, crm: Crashing): Promise<void> {
  const file = join(crm.folder, 'people.csv')
  await writeFile(file, `Name,Email,Phone\n${rows.join('\n')}\n`)
  const importing = importFile(t, file, crm.whole.url)
  await until('some of it imported', async () => (await journal(crm.whole.url)).length > 60)
  importing.child.kill('SIGKILL')
  await crm.crash()

  const again = crm.whole
  const before = (await journal(again.url)).length
  t.ok(before < expected + addresses.size, `it was interrupted in its middle, at event ${before}`)
  const second = importFile(t, file, again.url)
  t.equal(await second.ended, 0, second.lines.join('\n'))
  const events = await journal(again.url)
  const created = events.filter(({ type }) => type === 'ContactCreated')
  t.equal(created.length, expected, 'every person is there once')
  t.equal(new Set(created.map(({ data }) => data.contactId)).size, expected)
  const claims = events.filter(({ type }) => type === 'AddressClaimed')
  t.equal(new Set(claims.map(({ stream }) => stream)).size, addresses.size, 'every address is claimed')
  // A claim may stand twice: before the crash, and again by the same contact, which had not come to hold the address.
  t.equal(new Set(claims.map(({ stream, data }) => `${stream} ${data.contactId}`)).size, addresses.size, 'by one owner')
  t.equal(new Set(events.map(({ correlationId }) => correlationId)).size, 1, "the import's id goes with every event, across the crash")

  const third = importFile(t, file, again.url)
  t.equal(await third.ended, 0)
  t.match(third.lines.join('\n'), new RegExp(`0 created, 0 updated, ${ROWS} unchanged, 0 failed`))
  t.equal((await journal(again.url)).length, events.length, 'the same again changes nothing')
  t.equal(await readable(again.url), expected, 'and all can be read')
}

const importFile = (t: Test, file: string, url: string) =>
  startNode(t, [main, 'import', file], {
    cwd: dirname(file),
    env: { ...ownEnvironment, SMARTCRM_URL: url, SMARTCRM_KEY: key, NO_COLOR: '1' },
  })

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
const ask = async (url: string): Promise<any> => (await fetch(url, { headers: { authorization: `Bearer ${key}` } })).json()

/** Every event of the CRM, in order. */
async function journal(url: string): Promise<Event[]> {
  const events: Event[] = []
  for (let after = ''; ; ) {
    const { data, nextAfter, more } = await ask(`${url}/v1/events?limit=1000${after}`)
    events.push(...data)
    if (!more) return events
    after = `&after=${nextAfter}`
  }
}

async function readable(url: string): Promise<number> {
  let count = 0
  for (let cursor = ''; ; ) {
    const { data, nextCursor } = await ask(`${url}/v1/contacts?limit=200&archived=any${cursor}`)
    count += data.length
    if (nextCursor === null) return count
    cursor = `&cursor=${encodeURIComponent(nextCursor)}`
  }
}
