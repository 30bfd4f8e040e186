import { Type } from '@sinclair/typebox'
import { IMPORT_REACTOR, Import, ImportPage, type ImportResult, ImportResultPage, ImportState } from '../schema/import.ts'
import { ImportCounts, importEvents } from '../schema/import-events.ts'
import { Id } from '../schema/shared.ts'
import { type Database, sql } from '../src/platform/database.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { projection, query, table } from '../src/platform/projection.ts'
import { reactorJobId } from '../src/platform/reactor.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { isOwnRow } from './visibility.ts'

/** Imports of files, and what became of each message or row in them. */
export const imports = projection({
  name: 'imports',
  version: 3,
  tables: {
    imports: table(
      'importId',
      {
        importId: 'uuid',
        jobId: 'uuid',
        /** Seals the upload, and mails that could not be read. */
        keyId: 'uuid',
        kind: 'text',
        fileName: 'text',
        sizeBytes: 'integer',
        sha256: 'text',
        me: 'json',
        map: 'json',
        state: 'text',
        done: 'integer',
        readBytes: 'integer',
        counts: 'json',
        fault: 'text',
        actor: 'text',
        owner: 'text',
        team: 'text',
        startedAt: 'instant',
        finishedAt: 'instant',
        /** Of a file of contacts: somebody in it was erased, and so it is gone. */
        uploadRemoved: 'boolean',
      },
      'started_at, import_id',
      'sha256, started_at, import_id',
      'key_id',
    ),
    importResults: table(
      ['importId', 'item'],
      {
        importId: 'uuid',
        item: 'integer',
        outcome: 'text',
        emailId: 'uuid',
        contactId: 'uuid',
        code: 'text',
        reason: 'text',
        line: 'integer',
        raw: 'json',
      },
      'import_id, outcome, item',
      'email_id',
      'using btree (contact_id) where contact_id is not null',
    ),
  },
  events: importEvents,
  on: {
    ImportStarted: ({ imports }, { importId, kind, fileName, sizeBytes, upload, ownAddresses, map, viewer }, { id, meta }) => [
      imports.put({
        importId,
        jobId: reactorJobId(IMPORT_REACTOR, id),
        keyId: meta.key,
        kind,
        fileName: fileName ?? null,
        sizeBytes,
        sha256: upload.sha256,
        me: ownAddresses,
        map,
        state: 'waiting',
        done: 0,
        readBytes: 0,
        counts: none,
        actor: meta.actor,
        owner: viewer?.owner ?? null,
        team: viewer?.team ?? null,
        startedAt: meta.at,
        uploadRemoved: false,
      }),
    ],
    ImportProgressed: ({ imports, importResults }, { importId, done, offset, counts, outcomes }) => [
      imports.patch({ importId, state: 'running', done, readBytes: offset, counts }),
      ...outcomes.map(({ index, ...outcome }) => importResults.put({ importId, item: index, ...outcome })),
    ],
    ImportFinished: ({ imports }, { importId, done, counts, fault, offset }, { meta }) => [
      imports.patch({ importId, state: 'finished', done, readBytes: offset, counts, fault: fault ?? null, finishedAt: meta.at }),
    ],
    ImportUploadRemoved: ({ imports }, { importId }) => [imports.patch({ importId, uploadRemoved: true })],
  },
})
const { imports: importTable, importResults: resultTable } = imports.tables

const none: ImportCounts = { stored: 0, known: 0, created: 0, updated: 0, unchanged: 0, failed: 0 }

const columns = sql.fragment`i.import_id as "id", i.job_id as "jobId", i.kind, i.file_name as "fileName", i.size_bytes as "sizeBytes", i.sha256, i.me, i.map,
  i.state, i.done, i.read_bytes as "readBytes", i.counts, i.fault, i.actor, i.started_at as "startedAt", i.finished_at as "finishedAt"`
type Row = Omit<Import, 'startedAt' | 'finishedAt'> & { startedAt: Date; finishedAt: Date | null }
const render = ({ startedAt, finishedAt, ...row }: Row): Import => ({
  ...row,
  startedAt: new Date(startedAt).toISOString(),
  finishedAt: finishedAt && new Date(finishedAt).toISOString(),
})

const newestFirst: SortKey[] = [
  { sql: sql.fragment`i.started_at`, kind: 'instant' },
  { sql: sql.fragment`i.import_id`, kind: 'uuid' },
]

const listImports = query({
  operationId: 'listImports',
  path: '/imports',
  summary: 'List imports, the newest first',
  params: Type.Object({}),
  querystring: Type.Object({
    ...pageParameters,
    state: Type.Optional(Type.Union(ImportState.anyOf, { description: 'Only those in this state.' })),
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Only those of a file with these bytes.' })),
  }),
  response: ImportPage,
  async run(db, { query, viewer }) {
    const { state, sha256 } = query
    const page = paging(query, { keys: newestFirst, descending: true, scope: ['imports', state, sha256] })
    const conditions = [
      page.after,
      isOwnRow(viewer, sql.fragment`i`),
      ...(state === undefined ? [] : [sql.fragment`i.state = ${state}`]),
      ...(sha256 === undefined ? [] : [sql.fragment`i.sha256 = ${sha256}`]),
    ]
    const rows = await db.rows<Row>(
      sql.unsafe`select ${columns}, ${page.columns} from ${importTable.sql} i where ${sql.join(conditions, sql.fragment` and `)} ${page.order}`,
    )
    return page.page(rows, (row) => render(shown(row)))
  },
})

/** Without what the page selects for itself. */
const shown = (row: Row): Row => Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('cursor_'))) as Row

const getImport = query({
  operationId: 'getImport',
  path: '/imports/{id}',
  summary: 'An import: how far it is, and what came of it',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: Import,
  async run(db, { params: { id }, viewer }) {
    const [row] = await db.rows<Row>(
      sql.unsafe`select ${columns} from ${importTable.sql} i where import_id = ${id} and ${isOwnRow(viewer, sql.fragment`i`)}`,
    )
    return row ? render(row) : null
  },
})

type ResultRow = { [N in keyof ImportResult]: ImportResult[N] | null }

const listImportResults = query({
  operationId: 'listImportResults',
  path: '/imports/{id}/results',
  summary: 'What became of each message or row, in the order of the file',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({
    ...pageParameters,
    outcome: Type.Optional(Type.KeyOf(ImportCounts, { description: 'Only those that came to this.' })),
  }),
  response: ImportResultPage,
  async run(db, { params: { id }, query, viewer }) {
    if (viewer.sees !== 'all' && !(await isThere(db, viewer, id))) return null
    const { outcome } = query
    const keys: SortKey[] = [{ sql: sql.fragment`r.item`, kind: 'integer' }]
    const page = paging(query, { keys, descending: false, scope: ['import-results', id, outcome] })
    const ofOutcome = outcome === undefined ? sql.fragment`true` : sql.fragment`r.outcome = ${outcome}`
    const rows = await db.rows<ResultRow>(sql.unsafe`
      select r.item as "index", r.outcome, r.email_id as "emailId", r.contact_id as "contactId", r.code, r.reason, r.line, r.raw is not null as "hasRaw", ${page.columns}
      from ${resultTable.sql} r where r.import_id = ${id} and ${ofOutcome} and ${page.after} ${page.order}`)
    if (rows.length === 0 && !(await isThere(db, viewer, id))) return null
    return page.page(rows, renderResult)
  },
})

async function isThere(db: Database, viewer: Viewer, id: string): Promise<boolean> {
  const rows = await db.rows(sql.unsafe`select from ${importTable.sql} i where import_id = ${id} and ${isOwnRow(viewer, sql.fragment`i`)}`)
  return rows.length > 0
}

/** The ids of the imports that somebody sees, as text: jobs are known by them. */
export const importsSeen = (viewer: Viewer) =>
  sql.fragment`select i.import_id::text from ${importTable.sql} i where ${isOwnRow(viewer, sql.fragment`i`)}`

const renderResult = (row: ResultRow): ImportResult =>
  Object.fromEntries(Object.entries(row).filter(([name, value]) => value !== null && !name.startsWith('cursor_'))) as ImportResult

/** Where a mail is kept that an import could not read; null when there is none of this index, or the viewer does not see the import. */
export async function failedRaw(db: Database, viewer: Viewer, importId: string, index: number): Promise<{ sha256: string } | null> {
  if (viewer.sees !== 'all' && !(await isThere(db, viewer, importId))) return null
  const [row] = await db.rows<{ raw: { sha256: string } }>(
    sql.unsafe`select raw from ${resultTable.sql} where import_id = ${importId} and item = ${index} and raw is not null`,
  )
  return row?.raw ?? null
}

/**
 * What imports refer to in the blob store under these keys: the uploads that are still needed (src/import/run-import.ts says which), and mails that
 * could not be read.
 */
export const importBlobs = (db: Database, keyIds: readonly string[]): Promise<readonly { keyId: string; sha256: string }[]> =>
  db.rows(sql.unsafe`
    select i.key_id as "keyId", i.sha256 from ${importTable.sql} i
    where i.key_id = any(${sql.array([...keyIds], 'uuid')})
      and (i.kind in ('csv', 'vcard') and not i.upload_removed or i.state <> 'finished' or (i.done = 1 and (i.counts->>'failed')::bigint > 0))
    union
    select i.key_id, r.raw->>'sha256' from ${importTable.sql} i join ${resultTable.sql} r using (import_id)
    where i.key_id = any(${sql.array([...keyIds], 'uuid')}) and r.outcome = 'failed' and r.raw is not null`)

export const importQueries = [listImports, getImport, listImportResults]
