import type { FragmentSqlToken } from 'slonik'
import { sql } from '../src/platform/database.ts'
import type { Viewer } from '../src/platform/viewer.ts'
import { importsSeen } from './imports.ts'
import { undosSeen } from './undos.ts'

/** The keys of the jobs that somebody sees who does not see all. */
export const jobKeysSeen = (viewer: Viewer): FragmentSqlToken => sql.fragment`${importsSeen(viewer)} union all ${undosSeen(viewer)}`
