import type { Static } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { projections } from '../../projections/index.ts'
import { Job } from '../../schema/job.ts'
import { AuditInput, VerifyInput } from '../../schema/verification.ts'
import { askForJob } from '../jobs/asked-job.ts'
import { commandSchema } from '../platform/http/commands.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { findJob } from '../platform/jobs-view.ts'
import { Refused } from '../platform/refusal.ts'
import type { Services } from '../services.ts'

const begun = {
  202: {
    description: 'It has begun: the job to watch. What is found is in its result.',
    headers: { Location: { type: 'string', description: 'Where the job is.' } },
    content: { 'application/json': { schema: Job } },
  },
  default: problemResponse,
}

/** Whether tables and log are what they should be, for those who keep the service going. Long work, and so jobs. */
export function verificationRoutes(app: FastifyInstance, { jobs, pool, vault }: Pick<Services, 'jobs' | 'pool' | 'vault'>): void {
  const secret = vault.secret('requests')
  const { headers } = commandSchema({})
  const begin = async (queue: string, data: object, request: FastifyRequest, reply: FastifyReply) => {
    const id = await askForJob(jobs, request, secret, { queue, data })
    return reply
      .code(202)
      .header('location', `/v1/jobs/${id}`)
      .send(await findJob(pool, jobs.types, id))
  }

  app.post('/v1/admin/verify', {
    schema: {
      operationId: 'verifyTables',
      summary: 'Compare every row of the read tables with what the log makes anew',
      description:
        'The log is read a second time, beside the tables that answer; they are compared at exactly their position, while everything goes on.',
      tags: ['projections'],
      headers,
      body: VerifyInput,
      response: begun,
    },
    async handler(request, reply) {
      const { names } = (request.body ?? {}) as Static<typeof VerifyInput>
      const unknown = names?.find((name) => !projections.some((projection) => projection.name === name))
      if (unknown !== undefined)
        throw new Refused(
          'projection-not-found',
          `There is no projection ${unknown}. There are: ${projections.map(({ name }) => name).join(', ')}.`,
          404,
        )
      return begin('verify', names ? { names: [...new Set(names)] } : {}, request, reply)
    },
  })

  app.post('/v1/admin/audit', {
    schema: {
      operationId: 'auditLog',
      summary: 'Read the whole log and find what was changed in it by hand',
      description:
        'Hashes, links, revisions, sealed parts and forms of all events; what was witnessed while they were new; and what the seal of an earlier audit vouches for.',
      tags: ['audit'],
      headers,
      body: AuditInput,
      response: begun,
    },
    handler: (request, reply) => begin('audit', (request.body ?? {}) as Static<typeof AuditInput>, request, reply),
  })
}
