import { EventStoreDBClient, excludeSystemEvents, START } from '@eventstore/db-client'

/** Who reads a log by the official client, as a subscriber does, and does nothing with it. */
const [url = ''] = process.argv.slice(2)
const client = EventStoreDBClient.connectionString(url)

/** @param events how many of ours there are */
function read(events: number): Promise<{ seconds: number; end: string }> {
  return new Promise((resolve, reject) => {
    const begun = performance.now()
    let count = 0
    const subscription = client.subscribeToAll({ fromPosition: START, filter: excludeSystemEvents() })
    subscription.on('error', reject).on('data', ({ event }) => {
      if (!event || !/^(contact|email)-/.test(event.streamId)) return
      count += 1
      if (count < events) return
      void subscription.unsubscribe()
      resolve({ seconds: (performance.now() - begun) / 1_000, end: `${event.position!.commit}.${event.position!.prepare}` })
    })
  })
}

process.on('message', async ({ events }: { events: number }) => process.send!(await read(events)))
process.send!('ready')
