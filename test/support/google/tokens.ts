import { createHmac, timingSafeEqual } from 'node:crypto'

/** What Google's opaque tokens stand for here. */
export type Grant = {
  kind: 'access' | 'refresh'
  user: string
  client: string
  scope: string
  /** Of the consent, so that all tokens of one can be revoked together. */
  consent: string
  /** Milliseconds since 1970; a refresh token's is far. */
  expiresAt: number
}

export type Tokens = {
  /** @returns the token of a grant */
  issue(grant: Grant): string
  /** @returns what a token stands for, or null if it is none, has expired or was revoked */
  read(token: string, now: number): Grant | null
  /** @returns what it stood for, whether or not it was good */
  revoke(token: string): Grant | null
  /** All that a user has granted so far. */
  revokeAll(user: string): void
}

const prefixes = { access: 'ya29.', refresh: '1//0' }

/** The tokens carry what they stand for, signed, so that they are still good when Google was started again with the same secret. What was revoked it has forgotten then. */
export function createTokens(secret: string): Tokens {
  const revoked = new Set<string>()
  const consents = new Map<string, Set<string>>()
  const sign = (text: string) => createHmac('sha256', secret).update(text).digest('base64url')

  function open(token: string): Grant | null {
    const [, text, signature = ''] = /^(?:ya29\.|1\/\/0)([\w-]+)\.([\w-]+)$/.exec(token) ?? []
    if (text === undefined) return null
    const expected = Buffer.from(sign(text))
    const given = Buffer.from(signature)
    if (expected.length !== given.length || !timingSafeEqual(expected, given)) return null
    const grant = JSON.parse(Buffer.from(text, 'base64url').toString()) as Grant
    remember(grant)
    return grant
  }
  const remember = ({ user, consent }: Grant) => void consents.set(user, (consents.get(user) ?? new Set()).add(consent))

  return {
    issue(grant) {
      remember(grant)
      const text = Buffer.from(JSON.stringify(grant)).toString('base64url')
      return `${prefixes[grant.kind]}${text}.${sign(text)}`
    },
    read(token, now) {
      const grant = open(token)
      return grant && grant.expiresAt > now && !revoked.has(grant.consent) ? grant : null
    },
    revoke(token) {
      const grant = open(token)
      if (grant) revoked.add(grant.consent)
      return grant
    },
    revokeAll(user) {
      for (const consent of consents.get(user) ?? []) revoked.add(consent)
    },
  }
}
