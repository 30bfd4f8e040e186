import { type EventOf, events } from './define.ts'

// The pulse by which a silent subscription is noticed and lag is measured; its stream alone has $maxCount.
export const heartbeatEvents = events({ HeartbeatRecorded: {} })
export type HeartbeatEvent = EventOf<typeof heartbeatEvents>
