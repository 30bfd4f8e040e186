import type { FragmentSqlToken } from 'slonik'
import { sql } from '../src/platform/database.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { contacts } from './contacts.ts'
import { enrichment } from './enrichment.ts'
import { importsSeen } from './imports.ts'
import { undosSeen } from './undos.ts'
import { isOwnRow } from './visibility.ts'

/** The keys of the jobs that somebody sees who does not see all: of the imports, undos and contacts that he sees, and of bulks that he or his team asked for. */
export const jobsSeen = (viewer: Viewer): FragmentSqlToken => sql.fragment`
  ${importsSeen(viewer)} union all ${undosSeen(viewer)}
  union all select c.contact_id::text from ${contacts.tables.contacts.sql} c where ${isOwnRow(viewer, sql.fragment`c`)}
  union all select b.bulk_id::text from ${enrichment.tables.bulkEnrichments.sql} b where ${isOwnRow(viewer, sql.fragment`b`)}`
