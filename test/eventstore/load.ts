import { type AppendResult, EventStoreDBClient, type JSONEventType, jsonEvent } from '@eventstore/db-client'

type Written = JSONEventType<'Counted', { writer: number; n: number }>

/** One append of the load: its ids, and what its writer was told. */
export type Attempt = { stream: string; ids: string[]; expected: bigint | 'no_stream'; outcome: 'acknowledged' | 'refused' | 'unknown' }

/**
 * Writers that append to a stream each, at the revision that they know, until `isOver`. One that does not know what became of
 * an append stops: the check afterwards decides.
 */
export async function writeUntil(url: string, round: string, writers: number, attempts: Attempt[], isOver: () => boolean): Promise<void> {
  // A client each: the pending appends of one are rejected with its connection.
  const client = EventStoreDBClient.connectionString(`${url}&defaultDeadline=5000`)
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      const stream = `load-${round}-${writer}`
      let expected: bigint | 'no_stream' = 'no_stream'
      for (let n = 0; !isOver(); n++) {
        const events = Array.from({ length: 1 + (n % 3) }, () => jsonEvent<Written>({ type: 'Counted', data: { writer, n } }))
        const attempt: Attempt = { stream, ids: events.map(({ id }) => id), expected, outcome: 'unknown' }
        attempts.push(attempt)
        const result: AppendResult | Error = await Promise.race([
          client.appendToStream(stream, events, { expectedRevision: expected }).catch((error: Error) => error),
          new Promise<Error>((resolve) => setTimeout(resolve, 5000, new Error('no answer')).unref()),
        ])
        if (result instanceof Error) return
        attempt.outcome = 'acknowledged'
        expected = result.nextExpectedRevision
      }
    }),
  )
  await client.dispose()
}

/**
 * What is wrong with the log after the load, as sentences: every acknowledged append is there once, whole and in order; one of unknown
 * outcome once and whole, or not at all.
 */
export async function faultsIn(url: string, attempts: Attempt[]): Promise<string[]> {
  const faults: string[] = []
  const client = EventStoreDBClient.connectionString(url)
  const found = new Map<string, { stream: string; index: number }[]>()
  let index = 0
  let last = 0n
  for await (const { event } of client.readAll()) {
    if (event!.position!.commit <= last) faults.push(`position ${event!.position!.commit} comes after ${last}`)
    last = event!.position!.commit
    found.set(event!.id, [...(found.get(event!.id) ?? []), { stream: event!.streamId, index: index++ }])
  }
  await client.dispose()
  for (const { stream, ids, outcome } of attempts) {
    const places = ids.map((id) => found.get(id) ?? [])
    const there = places.filter((place) => place.length > 0).length
    if (outcome === 'acknowledged' && there < ids.length) faults.push(`an acknowledged append to ${stream} is lost`)
    if (there > 0 && there < ids.length) faults.push(`an append to ${stream} is there in part`)
    if (places.some((place) => place.length > 1)) faults.push(`an event in ${stream} is there twice`)
    const order = places.flatMap((place) => place.map(({ index }) => index))
    if (order.some((at, n) => n > 0 && at !== order[n - 1]! + 1)) faults.push(`an append to ${stream} is torn apart`)
  }
  return faults
}
