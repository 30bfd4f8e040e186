import type { ImportCounts, ImportOutcome, importEvents } from '../../schema/import-events.ts'
import { blobName } from '../platform/blob-name.ts'
import { FailedForGood, type JobRun } from '../platform/jobs.ts'
import { fold } from '../platform/runner.ts'
import { everybody } from '../platform/viewer.ts'
import { type Done, inWindows } from '../platform/windows.ts'
import type { Services } from '../services.ts'
import { UnreadableFile } from './contact-input.ts'
import { fileImport, finishImport, recordProgress } from './import.ts'
import { type Item, itemsOf, type Source } from './items.ts'

type Started = ReturnType<typeof importEvents.ImportStarted>['data']

const BOUNDS = { atOnce: 32, bytesAtOnce: 32 * 1024 * 1024 }

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
  const record = async (settled: readonly Done<Item>[]) => {
    const { end } = settled.at(-1)!.piece
    const body = { offset: end, outcomes: settled.map(({ piece, outcome }): ImportOutcome => ({ index: piece.index, ...outcome })) }
    const { repeated, events } = await execute(`progress ${done}`, recordProgress, body, { id: importId })
    // An earlier run's, of which this one had not heard: begin anew from there.
    if (repeated) throw new Error('another run of this import recorded the same')
    ;({ done, offset, counts } = events.at(-1)!.data as { done: number; offset: number; counts: ImportCounts })
    progress(offset || done, source.kind === 'csv' || source.kind === 'vcard' ? null : source.upload.sizeBytes, `${done} done`)
  }

  if (state.status === 'running') {
    let fault: string | undefined
    try {
      await inWindows(itemsOf(services, source, { done, offset }), BOUNDS, signal, record)
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
  const { kind, upload, ownAddresses, map, viewer = everybody } = started
  const id = meta.key!
  const key = (await vault.keys([id])).get(id)
  if (!key) throw new FailedForGood('import-erased', 'The uploaded file was erased.')
  return {
    importId,
    kind,
    upload,
    ownAddresses,
    map,
    viewer,
    key: { id, key },
    correlationId: meta.$correlationId,
    causationId: meta.eventId,
  }
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
