import type { ImportCounts, ImportOutcome, importEvents } from '../../schema/import-events.ts'
import { blobName } from '../platform/blob-name.ts'
import { FailedForGood, type JobRun } from '../platform/jobs.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { UnreadableFile } from './contact-input.ts'
import { fileImport, finishImport, recordProgress } from './import.ts'
import { type Item, itemsOf, type Source } from './items.ts'

type Started = ReturnType<typeof importEvents.ImportStarted>['data']

const AT_ONCE = 32
/** Of the messages that are being stored, in memory; a single one may be larger. */
const BYTES_AT_ONCE = 32 * 1024 * 1024
const OUTCOMES_AT_ONCE = 500
/** Below what the event store takes in one append, sealed and in base64. */
const OUTCOME_BYTES = 300_000
/** What a killed run has to do again at most. */
const RECORD_EVERY_MS = 2_000

type Run = Pick<JobRun<Services>, 'services' | 'signal' | 'progress' | 'execute' | 'log'>

/**
 * Carries out an import, or goes on with it: from what its stream's newest event says. Several messages are worked on at a time; their outcomes are
 * recorded in the order of the file, without gaps. A run that is killed loses nothing: what it did and did not record is done again, by the
 * same commands, and changes nothing.
 */
export async function runImport(importId: string, run: Run): Promise<ImportCounts> {
  const { services, signal, execute, progress } = run
  const stream = `import-${importId}`
  const [first, last] = await Promise.all([services.store.readFirst(stream), services.store.readLast(stream)])
  if (!first || !last) throw new FailedForGood('import-not-found', 'There is no such import.')
  const [started, newest] = await services.codec.decode([first, last])
  if (started!.erased) throw new FailedForGood('import-erased', 'The uploaded file was erased.')
  const state = fold(fileImport, [newest!])
  if (state.status === 'unknown') throw new Error('an import without a state')
  const source = await sourceOf(services, importId, started!.data as Started, { ...started!.meta, eventId: started!.id })

  let { done, offset, counts } = state
  const record = async (outcomes: readonly Settled[]) => {
    if (outcomes.length === 0) return
    const end = outcomes.at(-1)!.end
    const body = { offset: end, outcomes: outcomes.map(({ outcome }) => outcome) }
    const { repeated, events } = await execute(`progress ${done}`, recordProgress, body, { id: importId })
    // An earlier run's, of which this one had not heard: begin anew from there.
    if (repeated) throw new Error('another run of this import recorded the same')
    ;({ done, offset, counts } = events.at(-1)!.data as { done: number; offset: number; counts: ImportCounts })
    progress(offset || done, source.kind === 'csv' || source.kind === 'vcard' ? null : source.upload.sizeBytes, `${done} done`)
  }

  if (state.status === 'running') {
    let fault: string | undefined
    try {
      await inWindows(itemsOf(services, source, { done, offset }), signal, record)
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error
      fault = error.message
    }
    signal.throwIfAborted()
    await execute('finish', finishImport, { done, ...(fault !== undefined && { fault }) }, { id: importId })
  }
  await removeUpload(services, source, counts, done)
  return counts
}

async function sourceOf(
  { vault }: Services,
  importId: string,
  started: Started,
  meta: { key: string | null; $correlationId: string; eventId: string },
): Promise<Source> {
  const { kind, upload, ownAddresses, map } = started
  const id = meta.key!
  const key = (await vault.keys([id])).get(id)
  if (!key) throw new FailedForGood('import-erased', 'The uploaded file was erased.')
  return { importId, kind, upload, ownAddresses, map, key: { id, key }, correlationId: meta.$correlationId, causationId: meta.eventId }
}

/**
 * Every mail of it has been stored with a key of its own, or kept by itself, so nothing needs the file any more; who erases a person could not
 * find him in it. A file of contacts stays: it alone shows the rows that failed.
 */
async function removeUpload({ blobs }: Services, { kind, key, upload }: Source, { failed }: ImportCounts, done: number): Promise<void> {
  const isNeeded = kind === 'csv' || kind === 'vcard' || (failed > 0 && done === 1)
  if (isNeeded) return
  const name = blobName(key.key, upload.sha256)
  for await (const blob of blobs.list(key.id)) if (blob.name === name) await blobs.remove(blob)
}

type Settled = { readonly outcome: ImportOutcome; readonly end: number }
type Pending = { readonly item: Item; readonly outcome: Promise<ImportOutcome> }

/** Works on several items at a time, in bounded memory, and hands over what became of them, in their order. On a signal it takes no more of them. */
async function inWindows(
  items: AsyncIterable<Item>,
  signal: AbortSignal,
  record: (settled: readonly Settled[]) => Promise<void>,
): Promise<void> {
  const pending: Pending[] = []
  let bytes = 0
  let settled: Settled[] = []
  let settledBytes = 0
  let recordedAt = performance.now()

  const hand = async () => {
    await record(settled)
    settled = []
    settledBytes = 0
    recordedAt = performance.now()
  }
  const settleOne = async () => {
    const { item, outcome } = pending.shift()!
    const known = await outcome
    bytes -= item.sizeBytes
    settled.push({ outcome: known, end: item.end })
    settledBytes += Buffer.byteLength(JSON.stringify(known))
    const isDue = settled.length === OUTCOMES_AT_ONCE || settledBytes > OUTCOME_BYTES || performance.now() - recordedAt > RECORD_EVERY_MS
    if (isDue) await hand()
  }

  try {
    for await (const item of items) {
      while (pending.length > 0 && (pending.length >= AT_ONCE || bytes + item.sizeBytes > BYTES_AT_ONCE)) await settleOne()
      if (signal.aborted) break
      const outcome = item.work().then((known): ImportOutcome => ({ index: item.index, ...known }))
      // Whoever waits for those before it learns of it when its turn comes.
      outcome.catch(() => {})
      pending.push({ item, outcome })
      bytes += item.sizeBytes
    }
    while (pending.length > 0) await settleOne()
  } finally {
    // What was done is recorded also when the next could not be; and nothing goes on behind the back of the next run.
    await Promise.allSettled(pending.map(({ outcome }) => outcome))
    await hand()
  }
}
