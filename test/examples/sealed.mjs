// What anybody with access to the log can see, with nothing but the official client: who did what to which thing and when, but nothing personal.
import { EventStoreDBClient, excludeSystemEvents, START } from '@eventstore/db-client'

const client = EventStoreDBClient.connectionString(process.env.EVENTSTORE_URL ?? 'esdb://127.0.0.1:2113?tls=false')
const subscription = client.subscribeToAll({ fromPosition: START, filter: excludeSystemEvents() })
process.once('SIGTERM', () => subscription.unsubscribe())

for await (const { event } of subscription) {
  if (!event?.isJson || event.type === 'HeartbeatRecorded') continue
  const { sealed, ...open } = event.data
  console.log(
    JSON.stringify({ type: event.type, stream: event.streamId, at: event.metadata.at, actor: event.metadata.actor, open, sealed }),
  )
}
await client.dispose()
