import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { Account, AccountOptions } from './account.ts'
import { Broken, breakOff, fail, send, show, statusOf } from './answers.ts'
import { type ClockOptions, createClock } from './clock.ts'
import { answerControl } from './control.ts'
import { createControls } from './controls.ts'
import * as errors from './errors.ts'
import { createFaults, errorOf, type FaultRule, isBreak } from './faults.ts'
import { onlyFields } from './fields.ts'
import { callOf, carryOut, checkScope, type Quirks } from './gmail.ts'
import { createMailbox, type MailboxOptions, type NewMessage } from './mailbox.ts'
import { most } from './messages.ts'
import { type Client, createOAuth } from './oauth.ts'
import { createPages } from './pages.ts'
import { createPush, type PushSubscription } from './push.ts'
import { createQuota, type QuotaOptions } from './quota.ts'
import { createTokens } from './tokens.ts'

export type GoogleOptions = {
  /** Any free one unless given. */
  port?: number
  accounts: readonly (AccountOptions & { messages?: Iterable<NewMessage>; mailbox?: MailboxOptions })[]
  clients?: readonly Client[]
  /** Consent is given by a redirect at once, without a page. */
  auto?: boolean
  accessTokenSeconds?: number
  clock?: ClockOptions
  quota?: QuotaOptions
  quirks?: Partial<Quirks>
  faults?: readonly FaultRule[]
  /** How long tokens of pages are good, in Google's time. */
  pageTokenSeconds?: number
  /** Requests of a user at a time, above which it answers 429. */
  concurrentRequests?: number
  /** How long each answer of Gmail takes, in our time. */
  latencyMs?: number
  /** With the same one, tokens outlive a start. */
  secret?: string
  /** Where changes of watched mailboxes are pushed to. */
  push?: PushSubscription
}

export const testClient: Client = { id: 'smartcrm-test.apps.googleusercontent.example', secret: 'simulated-secret' }

/** A request of Gmail's API or of the endpoint of tokens, and what it was answered. */
export type Seen = { at: number; method: string; user?: string; messageId?: string; status: number | 'hang' | 'cut' | 'reset' }

export type Google = Awaited<ReturnType<typeof startGoogle>>

/**
 * As much of Google as a program needs that reads mail: OAuth 2.0, Gmail's REST API, and Pub/Sub's pushes, over HTTP on this machine. It answers as is
 * published, no field more, and fails on demand. It knows nothing of who uses it.
 */
export async function startGoogle(options: GoogleOptions) {
  const clock = createClock(options.clock)
  const quota = createQuota(clock, options.quota)
  const faults = createFaults()
  faults.add(...(options.faults ?? []))
  const pages = createPages(clock, options.pageTokenSeconds)
  const tokens = createTokens(options.secret ?? randomBytes(16).toString('hex'))
  const quirks: Quirks = { repeatedOnPages: 0, largestPage: most, ...options.quirks }
  const accounts = new Map<string, Account>()
  for (const { messages, mailbox, ...account } of options.accounts) {
    const created = { ...account, mailbox: createMailbox(clock, mailbox), grants: 'all' as const }
    created.mailbox.load(messages ?? [])
    accounts.set(account.address, created)
  }
  const clients = options.clients ?? [testClient]
  const { auto, accessTokenSeconds } = options
  const granted = (user: string, scopes: readonly string[]) => {
    const { grants } = accounts.get(user)!
    return grants === 'none' ? null : scopes.filter((scope) => grants === 'all' || grants.includes(scope))
  }
  const oauth = createOAuth(
    { clients, ...(auto !== undefined && { auto }), ...(accessTokenSeconds !== undefined && { accessTokenSeconds }) },
    tokens,
    clock,
    () => [...accounts.keys()],
    granted,
  )
  const push = createPush()
  const seen: Seen[] = []
  const active = new Map<string, number>()

  const server = createServer({ keepAliveTimeout: 60_000 })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const controls = createControls({
    clock,
    quota,
    faults,
    pages,
    tokens,
    quirks,
    accounts,
    push,
    seen,
    ...(options.push && { subscription: options.push }),
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.sendDate = false
    response.setHeader('date', new Date(clock.now()).toUTCString())
    const { pathname, searchParams } = new URL(request.url!, url)
    const at = `${request.method} ${pathname}`
    if (pathname.startsWith('/_control/')) return answerControl(controls, request, response)
    if (at === 'GET /o/oauth2/v2/auth') return show(response, oauth.authorize(searchParams))
    if (at === 'POST /o/oauth2/v2/auth') {
      const form = new URLSearchParams(await text(request))
      return show(response, oauth.decide(form, form.get('user') ?? ''))
    }
    if (at === 'GET /oauth2/v3/certs') return send(response, 200, push.jwks, { 'cache-control': 'public, max-age=3600' })
    if (at === 'GET /oauth2/v1/certs') return send(response, 200, push.certificates, { 'cache-control': 'public, max-age=3600' })
    if (at === 'POST /token') {
      const form = new URLSearchParams(await text(request))
      const user = tokens.read(form.get('refresh_token') ?? '', 0)?.user
      return carried(response, { method: 'token', ...(user !== undefined && { user }) }, async () =>
        oauth.token(form, request.headers.authorization),
      )
    }
    if (at === 'POST /revoke' || at === 'GET /revoke') {
      const form = new URLSearchParams(await text(request))
      return carried(response, { method: 'revoke' }, async () => oauth.revoke(searchParams.get('token') ?? form.get('token') ?? ''))
    }
    return gmail(request, response, pathname, searchParams)
  }

  async function gmail(request: IncomingMessage, response: ServerResponse, pathname: string, query: URLSearchParams): Promise<void> {
    const body = await text(request)
    const call = callOf(request.method!, pathname)
    if (!call) return fail(response, errors.notFound())
    const [, bearer = ''] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const grant = tokens.read(bearer, clock.now())
    const account = grant && accounts.get(grant.user)
    const messageId = call.method.startsWith('messages.') || call.method === 'attachments.get' ? call.ids[0] : undefined
    const what = { method: call.method, ...(account && { user: account.address }), ...(messageId !== undefined && { messageId }) }
    await carried(response, what, async () => {
      if (grant?.kind !== 'access' || !account) throw errors.unauthorized()
      if (![account.address, 'me'].includes(call.user)) throw errors.delegationDenied(call.user)
      const waitSeconds = quota.charge(account.address, call.method)
      if (waitSeconds > 0) throw errors.rateLimitExceeded(quota.overLimit, quota.overLimit === 429 ? Math.ceil(waitSeconds) : undefined)
      const now = (active.get(account.address) ?? 0) + 1
      active.set(account.address, now)
      try {
        if (now > (options.concurrentRequests ?? Number.POSITIVE_INFINITY)) throw errors.tooManyConcurrent()
        if (options.latencyMs) await delay(options.latencyMs)
        const rule = faults.strike({ ...what, hasPageToken: query.has('pageToken') })
        if (rule?.fault === 'vanish' && account.mailbox.has(call.ids[0]!)) controls.remove(account.address, call.ids[0]!)
        const error = rule && errorOf(rule, clock)
        if (error) throw error
        if (isBreak(rule?.fault) && rule.fault !== 'cut') throw new Broken(rule.fault)
        checkScope(call, grant.scope, query)
        const done = carryOut(call, account, query, body === '' ? null : JSON.parse(body), { pages, clock, quirks })
        const fields = query.get('fields')
        const answered = fields === null || done === undefined ? done : onlyFields(done, fields)
        if (rule) throw new Broken('cut', answered)
        return answered
      } finally {
        active.set(account.address, active.get(account.address)! - 1)
      }
    })
  }

  /** Does what a request asks for, notes it, and answers it, or does to the connection what a rule says. */
  async function carried(response: ServerResponse, what: Omit<Seen, 'at' | 'status'>, work: () => Promise<unknown>): Promise<void> {
    const note = (status: Seen['status']) => void seen.push({ at: clock.now(), ...what, status })
    try {
      if (what.method === 'token') {
        const rule = faults.strike({ method: 'token', user: what.user })
        const error = rule && errorOf(rule, clock)
        if (error) throw error
        if (isBreak(rule?.fault)) throw new Broken(rule.fault, {})
      }
      const done = await work()
      note(done === undefined ? 204 : 200)
      send(response, done === undefined ? 204 : 200, done)
    } catch (error) {
      if (!(error instanceof Broken)) {
        note(statusOf(error))
        return fail(response, error)
      }
      note(error.how === 'badGateway' ? 502 : error.how)
      breakOff(response, error)
    }
  }

  server.on('request', (request, response) => {
    answer(request, response).catch((error) => fail(response, error))
  })

  return {
    url,
    ...controls,
    async close(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
