import { heartbeatEvents } from '../../schema/heartbeat-events.ts'
import type { Codec } from './codec.ts'
import { type EventStore, HEARTBEAT_STREAM, WrongExpectedRevision } from './event-store.ts'
import type { Logger } from './log.ts'
import { headOf } from './runner.ts'

const EVERY_MS = 10_000
/** What is kept of the stream: an hour and a half. It is the only one of ours that forgets. */
const KEPT = 500

/**
 * Appends an event every 10 s, so that a subscription that hears nothing can be told from one where nothing happens, and lag can be measured while idle.
 * Several workers share it: who finds a younger one, or loses the race, leaves it at that.
 */
export function startHeartbeat(store: EventStore, codec: Codec, log: Logger): { close(): void } {
  const cause = { actor: 'system:worker', commandId: '', request: '', $correlationId: '', $causationId: '' }
  let kept = false

  const beat = async () => {
    if (!kept) await store.keepNewest(HEARTBEAT_STREAM, KEPT)
    kept = true
    const last = await store.readLast(HEARTBEAT_STREAM)
    // The server's clock may go wrong either way; a beat too many harms nobody, one too few ends subscriptions.
    if (last && Math.abs(Date.now() - Date.parse(last.created)) < EVERY_MS / 2) return
    const head = headOf(last ? await codec.decode([last]) : [])
    const encoded = await codec.encode([heartbeatEvents.HeartbeatRecorded({})], HEARTBEAT_STREAM, head, {
      at: new Date().toISOString(),
      ...cause,
    })
    await store.append(HEARTBEAT_STREAM, head.revision, encoded)
  }

  const guarded = () =>
    beat().catch((err) => {
      if (!(err instanceof WrongExpectedRevision)) log.warn({ err }, 'the heartbeat was not recorded')
    })
  void guarded()
  const timer = setInterval(guarded, EVERY_MS)
  return { close: () => clearInterval(timer) }
}
