import { type Static, Type } from '@sinclair/typebox'
import { Sees } from './access.ts'
import { type EventOf, events, personal } from './define.ts'
import { BlobReference } from './email.ts'
import { Id, nullable } from './shared.ts'

export const ImportKind = Type.Union([Type.Literal('eml'), Type.Literal('mbox'), Type.Literal('csv'), Type.Literal('vcard')])
export type ImportKind = Static<typeof ImportKind>

/** How many came to which end, from the beginning of the file on. Mails are stored or known, contacts created, updated or unchanged. */
export const ImportCounts = Type.Object({
  stored: Type.Integer({ minimum: 0 }),
  known: Type.Integer({ minimum: 0 }),
  created: Type.Integer({ minimum: 0 }),
  updated: Type.Integer({ minimum: 0 }),
  unchanged: Type.Integer({ minimum: 0 }),
  failed: Type.Integer({ minimum: 0 }),
})
export type ImportCounts = Static<typeof ImportCounts>

/** What became of one message or row. `index` counts them from 0. */
export const ImportOutcome = Type.Object({
  index: Type.Integer({ minimum: 0 }),
  outcome: Type.KeyOf(ImportCounts),
  emailId: Type.Optional(Id),
  contactId: Type.Optional(Id),
  /** Of a failed one: for programs, and for people. */
  code: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
  /** Where it begins in a CSV or vCard file, from 1. */
  line: Type.Optional(Type.Integer()),
  /** A mail that could not be read, as it came: sealed with the import's key. */
  raw: Type.Optional(BlobReference),
})
export type ImportOutcome = Static<typeof ImportOutcome>

/** Whom an import is carried out for. */
export const Viewer = Type.Object({ sees: Sees, owner: nullable(Type.String()), team: nullable(Type.String()) })

/**
 * How far an import is: all that comes before message or row number `done`, in the file before byte `offset`, has its outcome. Each event says it
 * from the beginning on, so that the newest one alone tells where to go on.
 */
const progress = { done: Type.Integer({ minimum: 0 }), offset: Type.Integer({ minimum: 0 }), counts: ImportCounts }

// Stored for ever: a field may be added as optional, never renamed or retyped.
export const importEvents = events({
  ImportStarted: {
    importId: Id,
    kind: ImportKind,
    sizeBytes: Type.Integer({ minimum: 0 }),
    /** The file as it was uploaded, sealed with the import's key. */
    upload: personal(BlobReference),
    fileName: personal(Type.Optional(Type.String())),
    /** One's own addresses, in their normal form. */
    ownAddresses: personal(Type.Array(Type.String())),
    /** What the columns of a CSV file are, as they were given. */
    map: personal(Type.Array(Type.String())),
    /** Whose it is, and what it may see and change: as the key of who started it. */
    viewer: personal(Type.Optional(Viewer)),
  },
  ImportProgressed: { importId: Id, ...progress, outcomes: personal(Type.Array(ImportOutcome, { maxItems: 500 })) },
  /** `fault`: why nothing (more) of the file could be read. */
  ImportFinished: { importId: Id, ...progress, fault: personal(Type.Optional(Type.String())) },
  /** The uploaded file was removed, since somebody in it was erased. */
  ImportUploadRemoved: { importId: Id, ...progress },
})
export type ImportEvent = EventOf<typeof importEvents>
