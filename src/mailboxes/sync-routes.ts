import { type TObject, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { unreadableRaw } from '../../projections/mailbox-standings.ts'
import { Id, Instant } from '../../schema/shared.ts'
import { SYNC_QUEUE, SyncAccepted } from '../../schema/sync.ts'
import { askForJob } from '../jobs/asked-job.ts'
import { sendBlob } from '../platform/http/blobs.ts'
import { commandSchema } from '../platform/http/commands.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { mailbox } from './mailbox.ts'
import type { SyncData } from './sync-job.ts'

type Asked = {
  operationId: string
  path: string
  summary: string
  description: string
  body?: TObject
  data(body: never): Omit<SyncData, 'mailboxId'>
}

const Rewind = Type.Object(
  { to: Type.String({ ...Instant, description: 'Messages from then on are listed again.' }) },
  { additionalProperties: false },
)

const asked: readonly Asked[] = [
  {
    operationId: 'syncMailbox',
    path: 'sync',
    summary: 'Look now whether there is something new in a mailbox',
    description: 'It is looked by itself every minute, or when the provider tells of something.',
    data: () => ({}),
  },
  {
    operationId: 'reconcileMailbox',
    path: 'reconcile',
    summary: 'Compare a mailbox with what its provider lists, and bring what is missing',
    description: "The job's result says how many messages were missing here and how many are gone there; the run in …/runs says so, too.",
    data: () => ({ task: 'reconcile' }),
  },
  {
    operationId: 'rewindMailbox',
    path: 'rewind',
    summary: 'Go through a mailbox again from an earlier time on',
    description: 'What is stored stays as it is; what failed, or was kept out by a label, is looked at again.',
    body: Rewind,
    data: ({ to }: { to: string }) => ({ task: 'rewind', from: to }),
  },
  {
    operationId: 'retryMailbox',
    path: 'retry',
    summary: 'Try all failed messages of a mailbox again, now',
    description: 'Each is tried again by itself, too, after pauses that grow.',
    data: () => ({ task: 'retry' }),
  },
]

const accepted = {
  202: {
    description: 'It is done by the job that Location names, which can be watched and cancelled.',
    headers: { Location: { type: 'string', description: 'The job.' } },
    content: { 'application/json': { schema: SyncAccepted } },
  },
  default: problemResponse,
}

/** What can be asked for of a mailbox beside that it is kept up to date; each is a job. */
export function syncRoutes(app: FastifyInstance, services: Services): void {
  const { runner, vault, jobs, pool, blobs } = services
  const secret = vault.secret('requests')
  const tags = ['mailboxes']

  for (const { operationId, path, summary, description, body, data: dataFor } of asked) {
    app.post(`/v1/mailboxes/:id/${path}`, {
      schema: {
        operationId,
        summary,
        description,
        tags,
        params: Type.Object({ id: Id }),
        ...(body && { body }),
        headers: commandSchema({}).headers,
        response: accepted,
      },
      async handler(request, reply) {
        const { id: mailboxId } = request.params as { id: string }
        const { status } = fold(mailbox, await runner.load(`mailbox-${mailboxId}`))
        if (status === 'unknown') throw new Refused('mailbox-not-found', 'There is no such mailbox.', 404)
        if (status !== 'connected') throw new Refused('mailbox-not-connected', 'This mailbox is not connected: connect it first.')
        const data: SyncData = { mailboxId, ...dataFor(request.body as never), requestedBy: request.caller.actor }
        const jobId = await askForJob(jobs, request, secret, { queue: SYNC_QUEUE, key: mailboxId, data })
        reply.header('location', `/v1/jobs/${jobId}`)
        return reply.code(202).send({ mailboxId, jobId })
      },
    })
  }

  app.get('/v1/mailboxes/:id/ledger/:messageId/raw', {
    schema: {
      operationId: 'getMailboxMessageRaw',
      summary: 'A message that could not be read, as it came',
      tags,
      params: Type.Object({ id: Id, messageId: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000]+$' }) }),
      response: {
        200: { description: 'The bytes.', content: { 'message/rfc822': { schema: { type: 'string', format: 'binary' } } } },
        default: problemResponse,
      },
    },
    async handler(request: FastifyRequest, reply) {
      const { id, messageId } = request.params as { id: string; messageId: string }
      const state = fold(mailbox, await runner.load(`mailbox-${id}`))
      if (state.status !== 'unknown' && state.owner !== request.caller.actor && state.visibility !== 'everything')
        throw new Refused('content-not-shared', 'This mailbox does not share the content of its mails: its owner can.', 403)
      const raw = await unreadableRaw(pool, id, messageId)
      if (!raw) throw new Refused('message-not-found', 'There is no such message, or it is not kept apart.', 404)
      const key = (await vault.keys([raw.keyId])).get(raw.keyId) ?? null
      return sendBlob(request, reply, blobs, {
        key: { id: raw.keyId, key },
        sha256: raw.sha256,
        type: 'message/rfc822',
        as: 'attachment',
        name: `${messageId}.eml`,
      })
    },
  })
}
