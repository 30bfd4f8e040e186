import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { normalizeEmail } from '../platform/email-address.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { type Fault, Invalid, Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { mailboxIdOf } from './consent.ts'
import { PUSH_HOOK } from './google.ts'
import { mailbox } from './mailbox.ts'
import { requestSync } from './request-sync.ts'

/** https://developers.google.com/workspace/gmail/api/guides/push#receiving_notifications; more may come, and means nothing. */
const Push = Type.Object(
  {
    message: Type.Object({ data: Type.String({ maxLength: 10_000 }), messageId: Type.String({ minLength: 1, maxLength: 200 }) }),
    subscription: Type.Optional(Type.String()),
  },
  {
    examples: [
      {
        message: { data: 'eyJlbWFpbEFkZHJlc3MiOiJhZGFAZXhhbXBsZS5jb20iLCJoaXN0b3J5SWQiOjQ3MTF9', messageId: '2070443601311540' },
        subscription: 'projects/…/subscriptions/gmail',
      },
    ],
  },
)

/** What Gmail says in it. @throws Invalid */
function noticeOf(data: string): { address: string } {
  const wrong = (message: string): Fault => ({ path: '/message/data', message })
  let notice: unknown
  try {
    notice = JSON.parse(Buffer.from(data, 'base64').toString('utf8'))
  } catch {
    throw new Invalid([wrong('must be JSON in base64')])
  }
  const { emailAddress } = (notice ?? {}) as { emailAddress?: unknown }
  const address = typeof emailAddress === 'string' ? normalizeEmail(emailAddress) : null
  if (!address) throw new Invalid([wrong('must name an emailAddress')])
  return { address }
}

/** Where Google's Pub/Sub tells that a mailbox has changed: it is then looked at, at once. */
export function pushRoutes(app: FastifyInstance, services: Services): void {
  const { google, vault, runner } = services

  app.post(PUSH_HOOK, {
    // Who comes here has no key, but a token of Google's.
    config: { open: true },
    schema: {
      operationId: 'receiveGmailPush',
      summary: 'Where Google tells of changes in Gmail mailboxes',
      description:
        'For the push subscription of GMAIL_PUSH_TOPIC, with authentication by the service account that GMAIL_PUSH_ACCOUNT names.',
      tags: ['mailboxes'],
      security: [],
      body: Push,
      response: { 204: { description: 'Taken note of; also of a mailbox that is not known.', type: 'null' }, default: problemResponse },
    },
    // Before the body is looked at: who is not Google learns nothing of what it should be.
    async preValidation(request) {
      if (google?.push && (await google.push(request.headers.authorization))) return
      throw new Refused(
        'push-not-believed',
        'This is not signed by the account that GMAIL_PUSH_ACCOUNT names, for GMAIL_PUSH_AUDIENCE.',
        401,
      )
    },
    async handler(request, reply) {
      const { message } = request.body as Static<typeof Push>
      const mailboxId = mailboxIdOf(vault.secret('mailboxes'), 'google', noticeOf(message.data).address)
      const { status } = fold(mailbox, await runner.load(`mailbox-${mailboxId}`))
      if (status === 'connected') await requestSync(services, mailboxId, `push ${message.messageId}`)
      return reply.code(204).send()
    },
  })
}
