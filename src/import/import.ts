import { Type } from '@sinclair/typebox'
import { type ImportCounts, ImportOutcome, importEvents } from '../../schema/import-events.ts'
import { decider, internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'

const { ImportStarted, ImportProgressed, ImportFinished, ImportUploadRemoved } = importEvents

/** @property done how many messages or rows have their outcome. @property offset before which byte of the file those are */
export type Import = { status: 'unknown' } | { status: 'running' | 'finished'; done: number; offset: number; counts: ImportCounts }

const none: ImportCounts = { stored: 0, known: 0, created: 0, updated: 0, unchanged: 0, failed: 0 }

/** Each event says all from the beginning on, so the newest alone is the state, and an import of any length costs the same with each of its events. */
export const fileImport = decider<Import, typeof importEvents>(
  'import',
  importEvents,
  { status: 'unknown' },
  {
    ImportStarted: () => ({ status: 'running', done: 0, offset: 0, counts: none }),
    ImportProgressed: (_, { done, offset, counts }) => ({ status: 'running', done, offset, counts }),
    ImportFinished: (_, { done, offset, counts }) => ({ status: 'finished', done, offset, counts }),
    ImportUploadRemoved: (_, { done, offset, counts }) => ({ status: 'finished', done, offset, counts }),
  },
)

/** Another run of the import went on with it meanwhile. Looking again, from where it is now, helps. */
const elsewhere = () => new Refused('import-elsewhere', 'Another run has gone on with this import.', 409, {}, 1)

const strict = { additionalProperties: false }
const { importId: _id, ...started } = ImportStarted.schema.properties

/** The same file again is the same import, which is there already. */
export const startImport = internalCommand(fileImport, 'start', {
  fromLast: true,
  body: Type.Object(started, strict),
  decide: (body, { status }, { id }) => (status === 'unknown' ? [ImportStarted({ importId: id, ...body })] : []),
})

const running = (state: Import) => {
  if (state.status !== 'running') throw new Refused('import-not-running', 'This import is not under way.')
  return state
}

/** Records what became of those that come next in the file, without a gap. */
export const recordProgress = internalCommand(fileImport, 'progress', {
  fromLast: true,
  body: Type.Object({ offset: Type.Integer({ minimum: 0 }), outcomes: Type.Array(ImportOutcome, { minItems: 1, maxItems: 500 }) }, strict),
  decide: ({ offset, outcomes }, state, { id }) => {
    const { done, counts } = running(state)
    // Another worker may have taken the import over, and gone on.
    if (outcomes.some(({ index }, place) => index !== done + place)) {
      throw elsewhere()
    }
    const added = { ...counts }
    for (const { outcome } of outcomes) added[outcome] += 1
    return [ImportProgressed({ importId: id, done: done + outcomes.length, offset, counts: added, outcomes })]
  },
})

/** Ends an import when everything in the file has its outcome. */
export const finishImport = internalCommand(fileImport, 'finish', {
  fromLast: true,
  body: Type.Object({ done: Type.Integer({ minimum: 0 }), fault: Type.Optional(Type.String()) }, strict),
  decide: ({ done, fault }, state, { id }) => {
    if (state.status === 'finished') return []
    const { offset, counts, ...at } = running(state)
    if (at.done !== done) throw elsewhere()
    return [ImportFinished({ importId: id, done, offset, counts, ...(fault !== undefined && { fault }) })]
  },
})

/** The uploaded file of an import that has ended is about to be removed, for somebody in it was erased. Once is enough. */
export const removeUpload = internalCommand(fileImport, 'remove-upload', {
  fromLast: true,
  body: Type.Object({}, strict),
  decide: (_, state, { id }) => {
    if (state.status !== 'finished') throw new Refused('import-not-finished', 'This import is not over.')
    const { done, offset, counts } = state
    return [ImportUploadRemoved({ importId: id, done, offset, counts })]
  },
})
