import { projections } from '../../projections/index.ts'
import { completeTables } from '../complete-tables.ts'
import { type Reapplied, reapplyErasures } from '../platform/erasure/reapply.ts'
import type { Logger } from '../platform/log.ts'
import type { Services } from '../services.ts'
import { erasingAgain } from './again.ts'

/** For so long tables are waited for that have to be without those who were erased again. */
const PATIENCE_MS = 10 * 60_000

/** Erases again whom the list of erasures names and a backup brought back. @throws as `reapplyErasures` */
export async function eraseAgain(services: Services, log: Logger, options: { byKeysAlone?: boolean } = {}): Promise<Reapplied> {
  const { erasureList: list, pool: db } = services
  const reapplied = await reapplyErasures({ list, db, erasing: erasingAgain(services) }, options)
  const { damaged, again } = reapplied
  if (damaged.length > 0)
    log.error({ file: list.file, lines: damaged }, 'lines of the list of erasures cannot be read, and are passed over')
  if (again.length > 0) log.warn({ ...reapplied, again: again.length }, 'a backup had brought back who was erased; they are erased again')
  return reapplied
}

/**
 * For who is about to answer requests: returns when nobody is in the tables whose keys had come back with a backup. Who answers need not have the log,
 * so it is asked only then.
 * @throws Unavailable when that is not so within ten minutes, as `reapplyErasures` else
 */
export async function eraseBeforeServing(services: Services, log: Logger): Promise<void> {
  const { again } = await eraseAgain(services, log, { byKeysAlone: true })
  if (again.length > 0) await completeTables(services, projections, { patienceMs: PATIENCE_MS })
}
