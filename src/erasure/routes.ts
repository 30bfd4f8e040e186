import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { ERASURE_REACTOR, ErasureAccepted, ErasureInput, Lifted, LiftInput } from '../../schema/erasure.ts'
import { erasureEvents } from '../../schema/erasure-events.ts'
import { Id } from '../../schema/shared.ts'
import { contact, isKnown, isSeen, known } from '../contacts/contact.ts'
import { withSurvivor } from '../contacts/merging.ts'
import { keepConcealed, liftSuppression } from '../contacts/suppression.ts'
import { normalizeEmail } from '../platform/email-address.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { commandSchema, positionHeader, requestOf, sendPosition } from '../platform/http/commands.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { reactorJobId } from '../platform/reactor.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import { everybody } from '../platform/viewer.ts'
import type { Services } from '../services.ts'
import { erasure, requestErasure } from './erasure.ts'

/** The job that carries an erasure out; null as long as nobody has confirmed it. */
function jobOf(events: readonly RecordedEvent[]): string | null {
  const asked = events.findLast(({ type }) => type === erasureEvents.ErasureRequested.type)
  const begun = (asked?.data as { confirm?: boolean } | undefined)?.confirm
    ? events.findLast(({ type }) => type === erasureEvents.ErasureConfirmed.type)
    : asked
  return begun ? reactorJobId(ERASURE_REACTOR, begun.id) : null
}

/** Asking for the erasure of a person, and letting an address be used again. */
export function erasureRoutes(app: FastifyInstance, services: Services): void {
  const { runner, vault, concealed, erasureList, erasureConfirmation: confirm } = services
  const secret = vault.secret('requests')
  const { headers } = commandSchema({})

  app.post('/v1/contacts/:id/erase', {
    schema: {
      operationId: 'eraseContact',
      summary: 'Erase a person for good',
      description:
        'The keys of the contact, of what was found of it and of mails in which nobody else takes part are destroyed; in other mails its address and name are masked, and their texts stay; its e-mail addresses are suppressed, so that mails, imports and enrichment cannot bring them back. ' +
        'It cannot be undone. Location names the job; with ERASURE_CONFIRMATION the erasure, which waits for another key to confirm it. The same again changes nothing. The receipt is at `/v1/contacts/{id}/erasure`.',
      tags: ['erasures'],
      params: Type.Object({ id: Id }),
      headers,
      body: ErasureInput,
      response: {
        202: {
          description: 'It is asked for; or was before.',
          headers: { ...positionHeader, Location: { type: 'string', description: 'The job that does it, or the erasure that waits.' } },
          content: { 'application/json': { schema: ErasureAccepted } },
        },
        default: problemResponse,
      },
    },
    async handler(http, reply) {
      const { id } = http.params as { id: string }
      const { reason, now = false } = http.body as ErasureInput
      const { viewer = everybody } = http.caller
      const state = fold(contact, await runner.load(`contact-${id}`))
      if (!isSeen(state, viewer)) throw new Refused('contact-not-found', 'There is no such contact.', 404)
      if (state.status !== 'erased') {
        known(isKnown(state) ? await withSurvivor(runner, state) : state)
        const request = { ...requestOf(http, secret), ifMatch: undefined }
        await runner.execute(requestErasure, { reason, now, confirm }, { id }, request)
      }
      const events = await runner.load(`erasure-${id}`)
      const { status } = fold(erasure, events)
      if (status === 'unknown') throw new Refused('erased', 'This contact was erased.', 410)
      const jobId = jobOf(events)
      sendPosition(reply, events.at(-1)!.position)
      reply.header('location', jobId === null ? `/v1/erasures/${id}` : `/v1/jobs/${jobId}`)
      return reply.code(202).send({ id, contactId: id, state: status, jobId })
    },
  })

  app.post('/v1/suppressions/lift', {
    schema: {
      operationId: 'liftSuppression',
      summary: 'Let an e-mail address be used again whose owner was erased',
      description:
        'What was written until then stays masked. The address is in the body alone, so that it is in no log of addresses asked for.',
      tags: ['erasures'],
      headers,
      body: LiftInput,
      response: {
        200: { description: 'It may be used.', headers: positionHeader, content: { 'application/json': { schema: Lifted } } },
        default: problemResponse,
      },
    },
    async handler(http, reply) {
      const address = normalizeEmail((http.body as Static<typeof LiftInput>).address)
      if (!address) throw new Invalid([{ path: '/address', message: 'must be an e-mail address, like ada@example.com' }])
      const digest = concealed.digestOf(address)
      const outcome = await runner.execute(
        liftSuppression,
        {},
        { id: digest },
        { ...requestOf(http, secret), fresh: false, ifMatch: undefined },
      )
      await keepConcealed(services, digest)
      if (outcome.made > 0 && !outcome.repeated) await erasureList.append({ lifted: [digest], at: new Date().toISOString() })
      sendPosition(reply, outcome.position)
      return reply.code(200).send({ lifted: outcome.made > 0 })
    },
  })
}
