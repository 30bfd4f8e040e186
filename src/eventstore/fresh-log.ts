import { randomUUID } from 'node:crypto'
import { appendEvents } from './appends.ts'
import type { Log } from './log.ts'
import { METADATA_TYPE, metastreamOf } from './metadata.ts'

/** As the server writes it at its first start, when it is alone, insecure and without projections: thirty days, readable by operators. */
const SCAVENGES = '{"$maxAge":2592000,"$acl":{"$r":"$ops","$w":[],"$d":[],"$mr":[],"$mw":[]}}'

/**
 * A log that nobody has written to yet gets what a real server's has then: `$all` is never empty, and clients count on it. Where it
 * cannot be written, the log stays empty: the next start tries again.
 */
export async function beginLog(log: Log): Promise<void> {
  if (log.end() > 0) return
  const event = { id: randomUUID(), type: METADATA_TYPE, json: true, data: Buffer.from(SCAVENGES), metadata: Buffer.alloc(0) }
  await new Promise<void>((resolve) =>
    log.enqueue({
      sizeBytes: 0,
      run: (writer) => void appendEvents(writer, metastreamOf('$scavenges'), 'no-stream', [event]),
      done: () => resolve(),
    }),
  )
}
