import { type Static, Type } from '@sinclair/typebox'
import { ImportCounts, ImportKind, ImportOutcome } from './import-events.ts'
import { Id, Instant, nullable } from './shared.ts'

/** The reactor that begins imports. By this name it is known which job an import has. */
export const IMPORT_REACTOR = 'import-on-started'

export const ImportState = Type.Union([Type.Literal('waiting'), Type.Literal('running'), Type.Literal('finished')])

/** An import as the API shows it. */
export const Import = Type.Object(
  {
    id: Id,
    jobId: Type.String({ ...Id, description: 'The job that carries it out: /v1/jobs/{id} says why it does not go on.' }),
    kind: ImportKind,
    fileName: nullable(Type.String()),
    sizeBytes: Type.Integer(),
    sha256: Type.String({ description: "Of the file's bytes." }),
    me: Type.Array(Type.String(), { description: "One's own addresses: mails from these are sent ones." }),
    map: Type.Array(Type.String()),
    state: ImportState,
    done: Type.Integer({ description: 'How many messages or rows have their outcome.' }),
    readBytes: Type.Integer({ description: 'How far it is in a file of mails; 0 for contacts until it is finished.' }),
    counts: ImportCounts,
    fault: nullable(Type.String({ description: 'Why nothing (more) of the file could be read.' })),
    actor: Type.String(),
    startedAt: Instant,
    finishedAt: nullable(Instant),
  },
  { title: 'Import' },
)
export type Import = Static<typeof Import>

const nextCursor = nullable(Type.String({ description: 'Send it as `cursor`, with the same filters, for the page after this one.' }))
export const ImportPage = Type.Object({ data: Type.Array(Import), nextCursor }, { title: 'ImportPage' })

export const ImportResult = Type.Object(
  {
    ...Type.Omit(ImportOutcome, ['raw']).properties,
    hasRaw: Type.Boolean({ description: 'The mail could not be read, and is kept as it came: ask for …/results/{index}/raw.' }),
  },
  { title: 'ImportResult' },
)
export type ImportResult = Static<typeof ImportResult>
export const ImportResultPage = Type.Object({ data: Type.Array(ImportResult), nextCursor }, { title: 'ImportResultPage' })

/** What an upload answers. */
export const ImportAccepted = Type.Object(
  {
    id: Id,
    jobId: Id,
    kind: ImportKind,
    sizeBytes: Type.Integer(),
    sha256: Type.String(),
    known: Type.Boolean({ description: 'This very import was there already: nothing was begun again.' }),
  },
  { title: 'ImportAccepted' },
)
