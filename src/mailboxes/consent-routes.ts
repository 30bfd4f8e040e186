import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { normalizeEmail } from '../platform/email-address.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import type { Services } from '../services.ts'
import { connect } from './connect.ts'
import { beginConsent } from './consent.ts'
import { sendPage } from './consent-page.ts'
import { CALLBACK } from './google.ts'
import { Wishes } from './mailbox.ts'

const Asked = Type.Object(
  {
    address: Type.Optional(
      Type.String({ maxLength: 320, description: 'Only this mailbox will do; Google suggests it.', examples: ['ada@example.com'] }),
    ),
    ...Wishes.properties,
  },
  { additionalProperties: false },
)

const ConsentAsked = Type.Object(
  {
    consentUrl: Type.String({
      description: 'Open it in a browser as the one whose mailbox it is, within 15 minutes. It is good once.',
      examples: ['https://accounts.google.com/o/oauth2/v2/auth?…'],
    }),
    goodUntil: Type.String({ format: 'date-time' }),
  },
  { title: 'ConsentAsked' },
)

const CallbackQuery = Type.Object(
  {
    state: Type.Optional(Type.String({ maxLength: 4_000, description: 'What we gave out.' })),
    code: Type.Optional(Type.String({ maxLength: 4_000, description: 'What Google gives for a consent.' })),
    error: Type.Optional(Type.String({ maxLength: 400, description: 'Why there is none, such as access_denied.' })),
  },
  // Google adds what it likes: scope, authuser, prompt.
  { additionalProperties: true },
)

const page = (description: string) => ({
  description,
  content: { 'text/html': { schema: Type.String({ examples: ['<!doctype html>…'] }) } },
})

/** A mailbox is connected by a person, in a browser: asked for here, consented to at Google, which sends the person back here. */
export function consentRoutes(app: FastifyInstance, services: Services): void {
  const { vault, google } = services
  const tags = ['mailboxes']
  const known = () => {
    if (google) return google
    throw new Refused('google-not-set-up', 'Google is not set up: set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET and start again.', 409)
  }

  app.post('/v1/mailboxes/google/connect', {
    schema: {
      operationId: 'connectGoogleMailbox',
      summary: 'Ask for consent to read a Gmail mailbox',
      description:
        'Whoever asks owns the mailbox. Its mail is fetched as soon as it is connected, so say here of whom contacts are to be made, and who sees it. Consent for one that is connected already, or was, connects it again; its mail is not fetched twice, and what was decided about it stays.',
      tags,
      body: Asked,
      response: {
        200: { description: 'Where consent is given.', content: { 'application/json': { schema: ConsentAsked } } },
        default: problemResponse,
      },
    },
    // Nothing at all is asked for as well as {}.
    async preValidation(request) {
      request.body ??= {}
    },
    async handler(request, reply) {
      const { provider, callbackUrl } = known()
      const { address: given, ...wishes } = request.body as Static<typeof Asked>
      const address = given === undefined ? null : normalizeEmail(given)
      if (given !== undefined && !address)
        throw new Invalid([{ path: '/address', message: 'must be an e-mail address, like ada@example.com' }])
      const { actor } = request.caller
      const asked = { actor, address, wishes, correlationId: request.correlationId ?? request.id }
      const { state, codeChallenge, consent } = beginConsent(vault.secret('mailboxes'), asked, Date.now())
      const consentUrl = provider.consentUrl({ state, codeChallenge, redirectUri: callbackUrl, ...(address && { loginHint: address }) })
      return reply.header('cache-control', 'no-store').send({ consentUrl, goodUntil: consent.goodUntil })
    },
  })

  app.get(CALLBACK, {
    // Who comes here has no key, but the state that we gave out.
    config: { open: true },
    schema: {
      operationId: 'finishGoogleConsent',
      summary: 'Where Google sends people back to',
      description: 'A page for people. What it was opened with is good once, and connects the mailbox.',
      tags,
      security: [],
      querystring: CallbackQuery,
      response: {
        200: page('The mailbox is connected.'),
        400: page('This address is not one that we gave out, or too old; or Google does not take the consent any more.'),
        403: page('No consent was given, or not enough.'),
        409: page('This address was used already; or consent was given for another mailbox.'),
        503: page('Google cannot be asked now.'),
        default: problemResponse,
      },
    },
    async handler(request, reply) {
      return sendPage(reply, await connect(services, known(), request.query as Static<typeof CallbackQuery>))
    },
  })
}
