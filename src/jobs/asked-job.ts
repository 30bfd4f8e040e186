import canonicalize from 'canonicalize'
import type { FastifyRequest } from 'fastify'
import { requestOf } from '../platform/http/commands.ts'
import type { Jobs } from '../platform/jobs-queue.ts'
import { dataOf } from '../platform/jobs-view.ts'
import { Refused } from '../platform/refusal.ts'

type Asked = { readonly queue: string; readonly data: object /** Its own id unless given. */; readonly key?: string }

/**
 * Enqueues a job that somebody asks for, where no event says so: once for each Idempotency-Key, for as long as the job is kept.
 * @param secret keys the HMAC of the request
 * @returns the job's id, which is the request's: of a repeat, that of the first time
 * @throws Refused when the key was used to ask for something else
 */
export async function askForJob(jobs: Jobs, request: FastifyRequest, secret: Buffer, { queue, data, key }: Asked): Promise<string> {
  const { commandId: id, correlationId } = requestOf(request, secret)
  await jobs.ready()
  const kept = await jobs.pool.transaction(async (db) => {
    await jobs.enqueue(db, [{ id, queue, key: key ?? id, data, correlationId, causationId: id }])
    return dataOf(db, queue, id)
  })
  if (kept !== null && canonicalize(kept) !== canonicalize(data))
    throw new Refused('idempotency-key-reused', 'This Idempotency-Key was used for another request. Use a new key for a new request.', 422)
  return id
}
