import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from './clock.ts'
import { OAuthError } from './errors.ts'
import type { Tokens } from './tokens.ts'

/** An application that is registered at Google. */
export type Client = {
  id: string
  secret: string
  /** Unless given, any address on this machine. */
  redirectUris?: readonly string[]
}

export type OAuthOptions = {
  clients: readonly Client[]
  /** Approves by itself, without a page. */
  auto?: boolean
  /** 3,599, as Google has it. */
  accessTokenSeconds?: number
}

/** What is answered to the browser: a page, or where to go. */
export type BrowserAnswer = { page: string; status: number } | { location: string }

type Code = {
  user: string
  client: string
  redirectUri: string
  scope: string
  challenge: string | null
  method: string
  isOffline: boolean
  expiresAt: number
  tokens: string[]
}

const codeMs = 10 * 60_000
const foreverMs = 10 * 365 * 86_400_000

/**
 * Google's OAuth 2.0 for web servers, with PKCE: https://developers.google.com/identity/protocols/oauth2/web-server
 * @param accounts the addresses of those who can consent @param granted the scopes that somebody grants of those asked for; null denies all
 */
export function createOAuth(
  { clients, auto = false, accessTokenSeconds = 3_599 }: OAuthOptions,
  tokens: Tokens,
  clock: Clock,
  accounts: () => readonly string[],
  granted: (user: string, scopes: readonly string[]) => readonly string[] | null,
) {
  const codes = new Map<string, Code>()

  const access = (grant: { user: string; client: string; scope: string; consent: string }) => ({
    access_token: tokens.issue({ ...grant, kind: 'access', expiresAt: clock.now() + accessTokenSeconds * 1000 }),
    expires_in: accessTokenSeconds,
    scope: grant.scope,
    token_type: 'Bearer',
  })

  function redeem(client: Client, form: URLSearchParams): object {
    const code = codes.get(form.get('code') ?? '')
    if (!code || code.expiresAt <= clock.now() || code.client !== client.id)
      throw new OAuthError(400, 'invalid_grant', 'Malformed auth code.')
    // A code that is seen twice may have been stolen: what it gave is taken back (RFC 6749, section 4.1.2).
    if (code.tokens.length > 0) {
      for (const token of code.tokens) tokens.revoke(token)
      throw new OAuthError(400, 'invalid_grant', 'Bad Request')
    }
    if (code.redirectUri !== form.get('redirect_uri')) throw new OAuthError(400, 'redirect_uri_mismatch', 'Bad Request')
    if (code.challenge !== null && challengeOf(form.get('code_verifier') ?? '', code.method) !== code.challenge)
      throw new OAuthError(400, 'invalid_grant', form.has('code_verifier') ? 'Invalid code verifier.' : 'Missing code verifier.')
    const grant = { user: code.user, client: client.id, scope: code.scope, consent: randomUUID() }
    const answer = access(grant)
    const refresh = tokens.issue({ ...grant, kind: 'refresh', expiresAt: clock.now() + foreverMs })
    code.tokens.push(refresh)
    return code.isOffline ? { ...answer, refresh_token: refresh } : answer
  }

  function refresh(client: Client, form: URLSearchParams): object {
    const grant = tokens.read(form.get('refresh_token') ?? '', clock.now())
    if (grant?.kind !== 'refresh' || grant.client !== client.id)
      throw new OAuthError(400, 'invalid_grant', 'Token has been expired or revoked.')
    return access(grant)
  }

  return {
    /** The consent page, or what it would come to. */
    authorize(query: URLSearchParams): BrowserAnswer {
      const fault = faultOf(query, clients)
      if (fault) return { status: 400, page: page('Access blocked', `<p>Error 400: ${fault}</p>`) }
      const hint = query.get('login_hint')
      const users = accounts().filter((user) => hint === null || user === hint.toLowerCase())
      if (auto && users[0]) return this.decide(query, users[0])
      const client = clients.find(({ id }) => id === query.get('client_id'))!
      const buttons = users.map((user) => `<p><button name="user" value="${escaped(user)}">Allow as ${escaped(user)}</button></p>`).join('')
      const hidden = [...query].map(([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`).join('')
      const scopes = (query.get('scope') ?? '').split(' ').map((scope) => `<li>${escaped(scope)}</li>`)
      const form = `<form method="post">${hidden}${buttons}</form>`
      return { status: 200, page: page(`${escaped(client.id)} wants access to an account`, `<ul>${scopes.join('')}</ul>${form}`) }
    },
    /** What a press of the button does. */
    decide(query: URLSearchParams, user: string): BrowserAnswer {
      const fault = faultOf(query, clients) ?? (accounts().includes(user) ? null : 'invalid_request')
      if (fault) return { status: 400, page: page('Access blocked', `<p>Error 400: ${fault}</p>`) }
      const location = new URL(query.get('redirect_uri')!)
      const state = query.get('state')
      if (state !== null) location.searchParams.set('state', state)
      const scopes = granted(user, query.get('scope')!.split(' ').filter(Boolean))
      if (scopes === null) {
        location.searchParams.set('error', 'access_denied')
        return { location: location.href }
      }
      const code = `4/0${randomBytes(32).toString('base64url')}`
      codes.set(code, {
        user,
        client: query.get('client_id')!,
        redirectUri: query.get('redirect_uri')!,
        scope: scopes.join(' '),
        challenge: query.get('code_challenge'),
        method: query.get('code_challenge_method') ?? 'plain',
        isOffline: query.get('access_type') === 'offline',
        expiresAt: clock.now() + codeMs,
        tokens: [],
      })
      location.searchParams.set('code', code)
      location.searchParams.set('scope', scopes.join(' '))
      return { location: location.href }
    },
    /** The endpoint of tokens. @throws OAuthError */
    token(form: URLSearchParams, authorization: string | undefined): object {
      const [id, secret] = credentials(form, authorization)
      const client = clients.find((client) => client.id === id && client.secret === secret)
      if (!client) throw new OAuthError(401, 'invalid_client', id ? 'Unauthorized' : 'Could not determine client ID from request.')
      const grantType = form.get('grant_type')
      if (grantType === 'authorization_code') return redeem(client, form)
      if (grantType === 'refresh_token') return refresh(client, form)
      throw new OAuthError(400, 'unsupported_grant_type', `Invalid grant_type: ${grantType ?? ''}`)
    },
    /** @throws OAuthError */
    revoke(token: string): object {
      const good = tokens.read(token, clock.now())
      tokens.revoke(token)
      if (!good) throw new OAuthError(400, 'invalid_token', 'Token expired or revoked')
      return {}
    },
  }
}

function credentials(form: URLSearchParams, authorization = ''): [string | null, string | null] {
  const [, basic] = /^Basic (\S+)$/i.exec(authorization) ?? []
  if (basic === undefined) return [form.get('client_id'), form.get('client_secret')]
  const [id = '', secret = ''] = Buffer.from(basic, 'base64').toString().split(':').map(decodeURIComponent)
  return [id, secret]
}

const challengeOf = (verifier: string, method: string) =>
  method === 'S256' ? createHash('sha256').update(verifier).digest('base64url') : verifier

/** What Google refuses on its own page, rather than send the browser back. */
function faultOf(query: URLSearchParams, clients: readonly Client[]): string | null {
  const client = clients.find(({ id }) => id === query.get('client_id'))
  if (!client) return 'invalid_client'
  const redirectUri = query.get('redirect_uri') ?? ''
  const isOurs = client.redirectUris?.includes(redirectUri) ?? /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/.test(redirectUri)
  if (!isOurs) return 'redirect_uri_mismatch'
  if (query.get('response_type') !== 'code') return 'unsupported_response_type'
  if (!query.get('scope')?.trim()) return 'invalid_scope'
  const method = query.get('code_challenge_method')
  return method !== null && !['S256', 'plain'].includes(method) ? 'invalid_request' : null
}

const page = (title: string, inner: string) =>
  `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${inner}<p>This is a simulated Google.</p></html>`
const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
