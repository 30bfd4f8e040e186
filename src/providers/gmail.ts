import { gmail as createGmail, type gmail_v1 } from '@googleapis/gmail'
import { CodeChallengeMethod, OAuth2Client } from 'google-auth-library'
import { changesPlace, toAliases, toChanges, toExpiration, toLabels, toMessage, toPage, toProfile, whole } from './gmail-answers.ts'
import { type GmailPrices, gmailPrices } from './gmail-prices.ts'
import { GMAIL_SCOPE } from './gmail-scope.ts'
import { asContract, GoogleFault } from './google-faults.ts'
import { asking, type Patience, transporterOf, patience as usual } from './google-requests.ts'
import {
  ConsentNeeded,
  CursorExpired,
  type MailAccount,
  type MailboxProvider,
  MessageUnreadable,
  type Pace,
  PageExpired,
} from './mailbox.ts'

type Method = keyof GmailPrices

/** Where Google is, and who we are there. Addresses are without a slash at their end. */
export type GmailSettings = {
  readonly clientId: string
  readonly clientSecret: string
  /** Of the consent page, of tokens, of taking consent back, and of Gmail's API. */
  readonly consentUrl: string
  readonly tokenUrl: string
  readonly revokeUrl: string
  readonly apiUrl: string
  readonly prices?: Partial<GmailPrices>
  readonly patience?: Patience
}

/** As many as Gmail gives: https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list */
const PAGE = 500

/** Gmail, by Google's own client. */
export function gmailProvider(settings: GmailSettings): MailboxProvider {
  const { patience = usual } = settings
  const prices: GmailPrices = { ...gmailPrices, ...settings.prices }
  const transporter = transporterOf(patience)
  const client = () =>
    new OAuth2Client({
      clientId: settings.clientId,
      clientSecret: settings.clientSecret,
      transporter,
      endpoints: { oauth2AuthBaseUrl: settings.consentUrl, oauth2TokenUrl: settings.tokenUrl, oauth2RevokeUrl: settings.revokeUrl },
    })

  return {
    name: 'google',

    consentUrl({ state, codeChallenge, redirectUri, loginHint }) {
      return client().generateAuthUrl({
        scope: GMAIL_SCOPE,
        state,
        code_challenge: codeChallenge,
        code_challenge_method: CodeChallengeMethod.S256,
        redirect_uri: redirectUri,
        // Without these two Google gives no refresh token to somebody who has consented before.
        access_type: 'offline',
        prompt: 'consent',
        ...(loginHint !== undefined && { login_hint: loginHint }),
      })
    },

    async exchange({ code, codeVerifier, redirectUri }) {
      try {
        const { tokens } = await asking({ patience }, () => client().getToken({ code, codeVerifier, redirect_uri: redirectUri }))
        if (!tokens.refresh_token) throw new ConsentNeeded('no-refresh-token')
        return { refreshToken: tokens.refresh_token, scopes: (tokens.scope ?? '').split(/\s+/).filter(Boolean) }
      } catch (error) {
        if (error instanceof GoogleFault && ['invalid_grant', 'invalid_request'].includes(error.reason)) return null
        throw error instanceof GoogleFault ? asContract(error) : error
      }
    },

    async revoke(refreshToken) {
      // In the body: what stands in an address is written down by many on the way.
      const request = { url: settings.revokeUrl, method: 'POST' as const, data: new URLSearchParams({ token: refreshToken }) }
      try {
        await asking({ patience }, () => transporter.request(request))
      } catch (error) {
        if (!(error instanceof GoogleFault)) throw error
        // RFC 7009 §2.2 would answer 200; Google says that it knows of no such token (any more).
        if (error.status === 400 && ['invalid_token', 'invalid_grant', 'invalid_request'].includes(error.reason)) return
        throw asContract(error)
      }
    },

    open: (refreshToken, pace) => openAccount(client(), refreshToken, { settings, prices, patience, pace }),
  }
}

type Opened = { settings: GmailSettings; prices: GmailPrices; patience: Patience; pace: Pace }
type Options = { signal?: AbortSignal; timeout: number }

/** A message of 50 MB, which is the most, is not sent within what a page of ids may take. */
const LARGE = 4

function openAccount(auth: OAuth2Client, refreshToken: string, { settings, prices, patience, pace }: Opened): MailAccount {
  const renew = () => auth.setCredentials({ refresh_token: refreshToken })
  renew()
  const { users } = createGmail({ version: 'v1', auth: auth as never, rootUrl: settings.apiUrl })

  /** @throws ConsentNeeded, ProviderAway; what `refused` makes of a fault that does not pass */
  const ask = async <T>(
    method: Method,
    signal: AbortSignal | undefined,
    run: (options: Options) => Promise<{ data: T }>,
    refused: (fault: GoogleFault) => Error | null = () => null,
  ): Promise<T> => {
    const options = { ...(signal && { signal }), timeout: patience.timeoutMs * (method === 'messages.get' ? LARGE : 1) }
    try {
      return await asking({ patience, signal, onUnauthorized: renew, pace: () => pace(prices[method], signal) }, async () =>
        whole((await run(options)).data),
      )
    } catch (error) {
      throw error instanceof GoogleFault ? (refused(error) ?? asContract(error)) : error
    }
  }

  const me = { userId: 'me' }
  return {
    profile: async (signal) => toProfile(await ask('getProfile', signal, (options) => users.getProfile(me, options))),

    async aliases(signal) {
      return toAliases(await ask('settings.sendAs.list', signal, (options) => users.settings.sendAs.list(me, options)))
    },

    labels: async (signal) => toLabels(await ask('labels.list', signal, (options) => users.labels.list(me, options))),

    async list({ next, from }, signal) {
      const asked: gmail_v1.Params$Resource$Users$Messages$List = { ...me, maxResults: PAGE, includeSpamTrash: false }
      if (next !== undefined) asked.pageToken = next
      // Gmail takes seconds since 1970 there, which say the same in every time zone.
      if (from !== undefined) asked.q = `after:${Math.floor(Date.parse(from) / 1000) - 1}`
      const refused = (fault: GoogleFault) => (next !== undefined && isPageFault(fault) ? new PageExpired() : null)
      return toPage(await ask('messages.list', signal, (options) => users.messages.list(asked, options), refused))
    },

    async changes({ after, next }, signal) {
      const { cursor, pageToken } = changesPlace(next)
      const asked = { ...me, startHistoryId: after, maxResults: PAGE, ...(pageToken !== undefined && { pageToken }) }
      const refused = (fault: GoogleFault) => {
        if (pageToken !== undefined && isPageFault(fault)) return new PageExpired()
        // https://developers.google.com/workspace/gmail/api/guides/sync: 404 says that it is out of date. What it cannot read is no better.
        return fault.status === 404 || fault.status === 410 || isInvalid(fault) ? new CursorExpired() : null
      }
      return toChanges(await ask('history.list', signal, (options) => users.history.list(asked, options), refused), cursor)
    },

    async get(id, signal) {
      const asked = { ...me, id, format: 'raw' }
      const refused = (fault: GoogleFault) => {
        if (fault.status === 404 || fault.status === 410) return GONE
        return isInvalid(fault) ? new MessageUnreadable(fault.reason, 'Gmail does not give this message.', { cause: fault }) : null
      }
      try {
        return toMessage(await ask('messages.get', signal, (options) => users.messages.get(asked, options), refused))
      } catch (error) {
        if (error === GONE) return null
        throw error
      }
    },

    async watch(topic, signal) {
      return toExpiration(await ask('watch', signal, (options) => users.watch({ ...me, requestBody: { topicName: topic } }, options)))
    },

    async unwatch(signal) {
      await ask('stop', signal, (options) => users.stop(me, options).then(() => ({ data: {} })))
    },
  }
}

const GONE = new Error('It is gone.')
const isInvalid = ({ status, reason }: GoogleFault) =>
  status === 400 && ['invalidArgument', 'INVALID_ARGUMENT', 'badRequest'].includes(reason)
const isPageFault = (fault: GoogleFault) => fault.isAboutPage || isInvalid(fault)
