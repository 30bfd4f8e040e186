/** The embedded node alone, for who wants it in a process of its own: tells its parent the URL, ends on SIGTERM. */
import { startEventStore } from '../../src/eventstore/server.ts'

const store = await startEventStore({ file: process.argv[2]!, port: Number(process.argv[3] ?? 0), systemEvents: true })
process.on('SIGTERM', async () => {
  await store.close()
  process.exit(0)
})
process.on('disconnect', () => process.exit(0))
process.send?.(store.url)
