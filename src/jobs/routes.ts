import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { jobsSeen } from '../../projections/jobs-seen.ts'
import { Job, JobPage, JobState } from '../../schema/job.ts'
import { Id } from '../../schema/shared.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { answersOf, sendCacheable } from '../platform/http/queries.ts'
import type { Jobs } from '../platform/jobs-queue.ts'
import { findJob, listJobs } from '../platform/jobs-view.ts'
import { pageParameters } from '../platform/page.ts'
import { Refused } from '../platform/refusal.ts'

const Filters = Type.Object(
  {
    ...pageParameters,
    state: Type.Optional(JobState),
    queue: Type.Optional(Type.String({ maxLength: 200, description: 'Only this kind of work.' })),
    key: Type.Optional(
      Type.String({ maxLength: 200, pattern: '^[^\\u0000]*$', description: 'Only the jobs with this key: of one import, say, its id.' }),
    ),
  },
  { additionalProperties: false },
)

const acted = {
  200: { description: 'The job as it is now.', content: { 'application/json': { schema: Job } } },
  default: problemResponse,
}

/** Long work: what there is, how far it is, and a hand in it. */
export function jobRoutes(app: FastifyInstance, jobs: Jobs): void {
  const { types, pool } = jobs
  const tags = ['jobs']
  const params = Type.Object({ id: Id })

  /** Who does not see all sees the jobs of the imports, undos, contacts and bulks that he sees. */
  const keysFor = ({ caller: { viewer } }: FastifyRequest) => (viewer.sees === 'all' ? null : jobsSeen(viewer))
  const found = async (request: FastifyRequest): Promise<Job> => {
    await jobs.ready()
    const job = await findJob(pool, types, (request.params as { id: string }).id, keysFor(request))
    if (!job) throw new Refused('job-not-found', 'There is no job with this id. Those that are over are kept for a week.', 404)
    return job
  }
  const typeOf = ({ queue }: Job) => types.find((type) => type.queue === queue)!

  app.get('/v1/jobs', {
    schema: { operationId: 'listJobs', summary: 'List jobs, the newest first', tags, querystring: Filters, response: answersOf(JobPage) },
    async handler(request, reply) {
      await jobs.ready()
      const query = request.query as Static<typeof Filters>
      const page = await listJobs(pool, types, query as Parameters<typeof listJobs>[2], keysFor(request))
      return sendCacheable(request, reply, page)
    },
  })

  app.get('/v1/jobs/:id', {
    schema: { operationId: 'getJob', summary: 'Get a job', tags, params, response: answersOf(Job) },
    handler: async (request, reply) => sendCacheable(request, reply, await found(request)),
  })

  app.post('/v1/jobs/:id/retry', {
    schema: {
      operationId: 'retryJob',
      summary: 'Try a failed job again, at once',
      description: 'Also one that waits for its next attempt. It may fail as often again as a new one.',
      tags,
      params,
      response: acted,
    },
    async handler(request) {
      const job = await found(request)
      // Asked again while it already waits or runs anew, there is nothing left to do.
      if (job.state === 'running' || job.state === 'waiting') return job
      if (!(await jobs.retry(typeOf(job), job.id))) {
        throw new Refused('job-over', `This job is ${job.state}: only one that failed can be tried again.`)
      }
      return found(request)
    },
  })

  app.post('/v1/jobs/:id/cancel', {
    schema: {
      operationId: 'cancelJob',
      summary: 'Cancel a job for good',
      description: 'One that runs is told to stop; what it has done until then stays done.',
      tags,
      params,
      response: acted,
    },
    async handler(request) {
      const job = await found(request)
      if (job.state === 'cancelled') return job
      if (!(await jobs.cancel(typeOf(job), job.id))) throw new Refused('job-over', 'This job is done: there is nothing left to cancel.')
      return found(request)
    },
  })
}
