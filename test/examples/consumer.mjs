// Writes new contacts to a file, each once, however often this is stopped and started.
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'
import { openConsumer } from 'smartcrm/consumer'

const { EVENTSTORE_URL, DATABASE_URL, SMARTCRM_MASTER_KEY } = process.env
const consumer = await openConsumer({
  eventStoreUrl: EVENTSTORE_URL ?? 'esdb://127.0.0.1:2113?tls=false',
  // Without these two every event comes sealed.
  ...(DATABASE_URL && SMARTCRM_MASTER_KEY && { keys: { databaseUrl: DATABASE_URL, masterKey: SMARTCRM_MASTER_KEY } }),
})
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())

const kept = await readFile('position.json', 'utf8').catch(() => '{"position":null,"lines":0}')
const { position, lines } = JSON.parse(kept)
// What was written after the position was kept, before a crash, is not written again.
const written = (await readFile('contacts.txt', 'utf8').catch(() => '')).split('\n').length - 1
let [done, skip] = [lines, written - lines]

for await (const batch of consumer.batches({ after: position, signal: stopping.signal })) {
  for (const event of batch.events) {
    if (event.type !== 'ContactCreated') continue
    const text = event.state === 'open' ? event.data.name : event.state === 'erased' ? '(erased)' : event.data.sealed
    if (skip > 0) skip -= 1
    else await appendFile('contacts.txt', `${event.data.contactId} ${text}\n`)
    done += 1
  }
  await writeFile('position.json.new', JSON.stringify({ position: batch.position, lines: done }))
  await rename('position.json.new', 'position.json')
}
await consumer.close()
