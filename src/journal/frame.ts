import type { RecordedEvent } from '../platform/event.ts'
import { formatPosition, type Position } from '../platform/position.ts'
import { shown } from './page.ts'

/*
 * Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them.
 */

/** JSON has no line ends of its own, so the data is one line. */
export const frameOf = (event: RecordedEvent): Buffer =>
  Buffer.from(`id: ${formatPosition(event.position)}\nevent: ${event.type}\ndata: ${JSON.stringify(shown(event))}\n\n`)

/** Tells where the reader is without an event: one without data moves the last event id and dispatches nothing. */
const place = (position: Position) => `id: ${formatPosition(position)}\n\n`

/** How soon a reader may come again. Not all at once after a restart is the readers' own affair. */
export const opening = (position: Position): string => `retry: 2000\n${place(position)}`

/** Keeps proxies from taking the connection for dead, and a filtered reader from resuming far behind. */
export const comment = (position: Position): string => `:\n${place(position)}`
