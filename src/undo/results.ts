import { type Static, Type } from '@sinclair/typebox'
import { resultParameters, type UndoResultRow, type UndoScope, undoResultsPage } from '../../projections/undos.ts'
import { Id } from '../../schema/shared.ts'
import { type UndoResult, UndoResultPage } from '../../schema/undo.ts'
import { sees } from '../contacts/past.ts'
import { categoryOf, type RecordedEvent } from '../platform/event.ts'
import { type QueryEndpoint, query } from '../platform/projection.ts'
import type { Viewer } from '../platform/viewer.ts'
import { isErased } from './plan.ts'
import { isUndoable, planOf } from './undo-stream.ts'
import { isReason, reasons } from './words.ts'

type Load = (stream: string) => Promise<RecordedEvent[]>

/**
 * `GET /undos/{id}/results`: what became of each contact, mail and so on, page by page. Values are in nobody's log but their subject's own: what a field was
 * and is, is found out anew from its stream, as far as the undo knew it. So who is erased since is erased here, too.
 */
export const undoResults = (load: Load): QueryEndpoint =>
  query({
    operationId: 'listUndoResults',
    path: '/undos/{id}/results',
    summary: 'What an undo put back (or would), and what stays as it is and why',
    params: Type.Object({ id: Id }),
    querystring: Type.Object(resultParameters),
    response: UndoResultPage,
    async run(db, { params: { id }, query, viewer }): Promise<Static<typeof UndoResultPage> | null> {
      const page = await undoResultsPage(db, viewer, id, query)
      if (!page) return null
      const data: UndoResult[] = []
      for (const row of page.data) data.push(await withValues(load, viewer, page.scope, row))
      return { data, nextCursor: page.nextCursor }
    },
  })

async function withValues(load: Load, viewer: Viewer, scope: UndoScope, row: UndoResultRow): Promise<UndoResult> {
  const { stream, outcome, code, fields, conflicts, revision } = row
  const known = { stream, outcome, ...(code !== undefined && { code, ...(isReason(code) && { reason: reasons[code] }) }) }
  const bare: UndoResult = { ...known, putBack: fields.map((field) => ({ field })), conflicts }
  const category = categoryOf(stream)
  if (revision === null || !isUndoable(category)) return bare
  const all = await load(stream)
  if (isErased(all) || (category === 'contact' && !sees(viewer, all))) return bare
  const events = all.slice(0, revision + 1)
  const asked = {
    before: scope.before,
    commandId: scope.commandId ?? undefined,
    correlationId: scope.correlationId ?? undefined,
    taken: [],
  }
  const plan = planOf(category, stream.slice(category.length + 1), events, { ...asked, may: { emails: true, enrichment: true } })
  const values = new Map(plan.putBack.map(({ field, from, to }) => [field, { from, to }]))
  const now = new Map([
    ...plan.conflicts.map(({ field, now }) => [field, now] as const),
    ...plan.putBack.map(({ field, from }) => [field, from] as const),
  ])
  return {
    ...known,
    putBack: fields.map((field) => ({ field, ...values.get(field) })),
    conflicts: conflicts.map((conflict) => {
      const by = events.find(({ id }) => id === conflict.eventId)
      return {
        ...conflict,
        ...(now.has(conflict.field) && { now: now.get(conflict.field) }),
        ...(by && { actor: by.meta.actor, at: by.meta.at }),
      }
    }),
  }
}
