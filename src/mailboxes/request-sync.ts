import { SYNC_QUEUE } from '../../schema/sync.ts'
import { isWaiting } from '../platform/jobs-store.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'

/** Namespace of the ids of jobs that were asked for so (UUIDv5). */
const ASKED = '0e4f3a52-5d0b-4a86-9f39-7e3c9d3b6f10'

/**
 * Has a mailbox looked at as soon as its turn comes. What is asked for while such a job waits already is done by that one.
 * @param why the same again asks for nothing more
 */
export async function requestSync({ pool, jobs }: Pick<Services, 'pool' | 'jobs'>, mailboxId: string, why: string): Promise<void> {
  await jobs.ready()
  const id = uuidv5(`${mailboxId} ${why}`, ASKED)
  const job = { id, queue: SYNC_QUEUE, key: mailboxId, data: { mailboxId }, correlationId: id, causationId: id }
  if (await isWaiting(pool, SYNC_QUEUE, mailboxId)) return
  await pool.transaction((db) => jobs.enqueue(db, [job]))
}
