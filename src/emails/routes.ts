import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { restrictionOf } from '../../projections/mail-visibility.ts'
import { seesEmail } from '../../projections/visibility.ts'
import type { emailEvents } from '../../schema/email-events.ts'
import { Id } from '../../schema/shared.ts'
import type { BlobKey } from '../platform/blobs.ts'
import type { Database } from '../platform/database.ts'
import { sendBlob } from '../platform/http/blobs.ts'
import type { Execute } from '../platform/http/commands.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import { everybody } from '../platform/viewer.ts'
import type { Services } from '../services.ts'
import { contentOf, email } from './email.ts'

const notFound = () => new Refused('email-not-found', 'There is no such mail.', 404)

type Email = ReturnType<typeof emailEvents.EmailReceived>['data']

/** A mail's HTML was made harmless when it was stored; should something have been overlooked, the browser does not let it. Pictures inside it may show. */
const HTML_POLICY =
  "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'; base-uri 'none'; sandbox allow-popups"

const bytes = (description: string, ...types: string[]) => ({
  200: { description, content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'string', format: 'binary' } }])) },
  206: {
    description: 'The range that was asked for.',
    content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'string', format: 'binary' } }])),
  },
  304: { description: 'The caller has it already.', type: 'null' },
  default: problemResponse,
})

/**
 * A mail's bytes: as it came, its HTML, its attachments. Answered from the log, which is never behind; whether one sees them, by the tables. Only who
 * sees a mail whole gets them.
 */
export function emailFileRoutes(app: FastifyInstance, { runner, vault, blobs, pool }: Services): void {
  const stored = async (request: FastifyRequest): Promise<{ data: Email; key: BlobKey }> => {
    const { id } = request.params as { id: string }
    const events = await runner.load(`email-${id}`)
    if (!(await seesEmail(pool, request.caller.viewer, id))) throw notFound()
    const last = events.at(-1)
    if (events.some(({ erased }) => erased)) throw new Refused('content-erased', 'This mail was erased for good.', 410)
    const told = contentOf(events)
    if (!last || !told || fold(email, events).status !== 'stored') throw notFound()
    if (await restrictionOf(pool, request.caller.actor, id, told.content.source))
      throw new Refused('content-not-shared', 'The mailbox that this mail is from does not share its content: its owner can.', 403)
    const keyId = last.meta.key!
    return { data: told.content, key: { id: keyId, key: (await vault.keys([keyId])).get(keyId) ?? null } }
  }
  const tags = ['emails']

  app.get('/v1/emails/:id/raw', {
    schema: {
      operationId: 'getEmailRaw',
      summary: 'A mail as it came',
      tags,
      params: Type.Object({ id: Id }),
      response: bytes('The mail (RFC 5322).', 'message/rfc822'),
    },
    async handler(request, reply) {
      const { data, key } = await stored(request)
      return sendBlob(request, reply, blobs, {
        key,
        sha256: data.raw.sha256,
        type: 'message/rfc822',
        as: 'attachment',
        name: `${data.emailId}.eml`,
      })
    },
  })

  app.get('/v1/emails/:id/html', {
    schema: {
      operationId: 'getEmailHtml',
      summary: 'The HTML of a mail without anything active or remote in it',
      description: 'Remote pictures keep their address in `data-remote-src`; `cid:` addresses name attachments by their `contentId`.',
      tags,
      params: Type.Object({ id: Id }),
      response: bytes('A piece of HTML.', 'text/html'),
    },
    async handler(request, reply) {
      const { data, key } = await stored(request)
      if (!data.html) throw new Refused('email-without-html', 'This mail has no HTML. Its text is in /v1/emails/{id}.', 404)
      return sendBlob(request, reply, blobs, {
        key,
        sha256: data.html.sha256,
        type: 'text/html; charset=utf-8',
        as: 'inline',
        policy: HTML_POLICY,
      })
    },
  })

  app.get('/v1/emails/:id/attachments/:attachmentId', {
    schema: {
      operationId: 'getEmailAttachment',
      summary: 'An attachment, to be saved',
      tags,
      params: Type.Object({ id: Id, attachmentId: Id }),
      response: bytes('Its bytes, in the type that the mail gives it; what a browser might run is application/octet-stream.', '*/*'),
    },
    async handler(request, reply) {
      const { data, key } = await stored(request)
      const { attachmentId } = request.params as { attachmentId: string }
      const found = data.attachments.find(({ id }) => id === attachmentId)
      if (!found) throw new Refused('attachment-not-found', 'The mail has no such attachment.', 404)
      return sendBlob(request, reply, blobs, { key, sha256: found.sha256, type: found.type, as: 'attachment', name: found.name })
    },
  })
}

/** Puts in front of commands on mails whether the caller sees the mail, which is no part of it but follows from its people. */
export const onlySeen =
  (pool: Database, execute: Execute): Execute =>
  async (command, body, params, request) => {
    const { viewer = everybody } = request
    const isHidden = command.decider === email && !(await seesEmail(pool, viewer, params['id']!))
    if (isHidden) throw notFound()
    return execute(command, body, params, request)
  }
