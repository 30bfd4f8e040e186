import t from 'tap'
import { beginConsent, CONSENT_MS, consentOf, mailboxIdOf } from '../../src/mailboxes/consent.ts'
import { disconnectJob } from '../../src/mailboxes/disconnect-job.ts'
import { changeVisibility, needConsent } from '../../src/mailboxes/mailbox.ts'
import { createApiKeys } from '../../src/platform/api-keys.ts'
import { sql } from '../../src/platform/database.ts'
import { ProviderAway } from '../../src/providers/mailbox.ts'
import { testApi } from '../support/api.ts'
import { ADA, googleApi } from '../support/google-api.ts'
import { request } from '../support/services.ts'
import { jobFor } from '../support/sync.ts'

t.setTimeout(120_000)
const { google, api, consent, comeBack, connect } = await googleApi(t)
const { vault, runner, store, pool } = api.services
const idOf = (address: string) => mailboxIdOf(vault.secret('mailboxes'), 'google', address)
const ada = idOf(ADA)
const typesOf = async (id: string) => (await store.readStream(`mailbox-${id}`)).map(({ type }) => type)
const settled = async (path: string) => {
  const last = await store.end()
  return api.ask('GET', path, undefined, { 'smartcrm-after': `${last!.commit}.${last!.prepare}`, prefer: 'wait=20' })
}

t.test('a mailbox is connected by consent, and shown with what Google says of it', async (t) => {
  t.match(await api.ask('GET', `/v1/mailboxes/${ada}`), { status: 404, body: { code: 'mailbox-not-found' } })
  const asked = await api.ask('POST', '/v1/mailboxes/google/connect', {})
  t.equal(asked.status, 200)
  t.equal(asked.headers.get('cache-control'), 'no-store')
  const page = await comeBack(await consent(asked.body.consentUrl))
  t.equal(page.status, 200)
  t.match(page.text, /ada@example\.com/)
  t.match(page.headers.get('content-security-policy'), /default-src 'none'/)
  t.equal(page.headers.get('referrer-policy'), 'no-referrer', 'the address with the code is told to nobody')
  const { body } = await settled(`/v1/mailboxes/${ada}`)
  t.match(body, {
    id: ada,
    provider: 'google',
    address: ADA,
    owner: 'key:admin',
    state: 'connected',
    consent: null,
    aliases: ['countess@example.com'],
    rules: { addresses: [], domains: [], labels: [], ownDomain: false },
    creationPolicy: { create: 'none' },
    visibility: 'metadata',
  })
  t.strictSame(await typesOf(ada), ['MailboxConnected', 'MailboxAliasesFound'])
  t.match((await api.ask('GET', '/v1/mailboxes')).body, { data: [{ id: ada }], nextCursor: null })
  t.match((await api.ask('GET', '/v1/mailboxes?state=consent-needed')).body, { data: [] })
})

t.test('its token is in the vault, sealed, and nowhere else', async (t) => {
  const stored = (await vault.tokens.get(ada))!
  t.match(stored.token, /^1\/\/0/)
  const stream = await store.readStream(`mailbox-${ada}`)
  const events = JSON.stringify(stream.map(({ data, metadata }) => ({ data, metadata })))
  for (const secret of [stored.token, ADA, 'countess']) t.notOk(events.includes(secret))
  const [row] = await pool.rows<{ wrapped: Buffer }>(sql.unsafe`select wrapped from vault.provider_tokens`)
  t.notOk(row!.wrapped.includes(stored.token))
})

t.test('the page is good once, for a quarter of an hour, and only as we gave it out', async (t) => {
  const { body } = await api.ask('POST', '/v1/mailboxes/google/connect')
  const location = await consent(body.consentUrl)
  t.equal((await comeBack(location)).status, 200)
  const before = google.seen.length
  const again = await comeBack(location)
  t.equal(again.status, 409)
  t.match(again.text, /used already/)
  const forged = new URL(location)
  const state = forged.searchParams.get('state')!
  for (const wrong of [`${state.slice(0, -3)}AAA`, 'x', '', state.slice(10)]) {
    forged.searchParams.set('state', wrong)
    t.equal((await comeBack(forged.href)).status, 400)
  }
  forged.searchParams.delete('state')
  t.equal((await comeBack(forged.href)).status, 400)
  t.equal(google.seen.length, before, 'Google is not asked for any of them')

  const secret = vault.secret('mailboxes')
  const about = { wishes: {}, actor: 'key:admin', correlationId: 'c', address: null }
  const old = beginConsent(secret, about, Date.now() - CONSENT_MS - 1)
  t.equal((await comeBack(`${api.url}/v1/mailboxes/google/callback?code=x&state=${old.state}`)).status, 400)
  const now = Date.now()
  const { state: good, consent: made } = beginConsent(secret, about, now)
  t.strictSame(consentOf(secret, good, now + CONSENT_MS - 1), made)
  t.equal(consentOf(secret, good, now + CONSENT_MS), null)
  t.notMatch(Buffer.from(good, 'base64url').toString('latin1'), made.codeVerifier)
})

t.test('who does not consent, or not to enough, or for another mailbox, connects nothing', async (t) => {
  google.setGrants(ADA, 'none')
  const denied = await connect()
  t.equal(denied.status, 403)
  t.match(denied.text, /No consent/)
  google.setGrants(ADA, [])
  const less = await connect()
  t.equal(less.status, 403)
  t.match(less.text, /not enough/)
  google.setGrants(ADA, 'all')

  const bea = idOf('bea@example.org')
  const { body } = await api.ask('POST', '/v1/mailboxes/google/connect', { address: 'kay@example.net' })
  const url = new URL(body.consentUrl)
  t.equal(url.searchParams.get('login_hint'), 'kay@example.net')
  url.searchParams.set('login_hint', 'bea@example.org')
  const other = await comeBack(await consent(url.href))
  t.equal(other.status, 409)
  t.match(other.text, /asked for kay@example\.net, and given for bea@example\.org/)
  t.strictSame(await typesOf(bea), [])
  t.equal(await vault.tokens.get(bea), null)
  const { body: asked } = await api.ask('POST', '/v1/mailboxes/google/connect', { address: 'kay@example.net' })
  const adas = new URL(asked.consentUrl)
  adas.searchParams.set('login_hint', ADA)
  t.equal((await comeBack(await consent(adas.href))).status, 409)
  t.ok((await vault.tokens.get(ada))!.token, 'what is connected stays so')

  t.match(await api.ask('POST', '/v1/mailboxes/google/connect', { address: 'nobody' }), {
    status: 400,
    body: { errors: [{ path: '/address', message: 'must be an e-mail address, like ada@example.com' }] },
  })
  t.equal((await api.ask('POST', '/v1/mailboxes/google/connect', { addres: ADA })).status, 400)
  t.equal((await api.ask('POST', '/v1/mailboxes/google/connect', {}, { authorization: 'Bearer nobody' })).status, 401)
})

t.test('Google away is told as that, and a code that it does not take too', async (t) => {
  google.faults.add({ fault: 'unavailable', method: 'getProfile', retryAfterSeconds: 600 })
  const away = await connect()
  google.faults.clear()
  t.equal(away.status, 503)
  t.match(away.text, /Google cannot be asked now/)
  const { body } = await api.ask('POST', '/v1/mailboxes/google/connect')
  const location = new URL(await consent(body.consentUrl))
  location.searchParams.set('code', '4/0another')
  const page = await comeBack(location.href)
  t.equal(page.status, 400)
  t.match(page.text, /does not take this consent/)
})

t.test('consent that is lost is shown, and connecting again clears it', async (t) => {
  await runner.execute(needConsent, { code: 'invalid_grant' }, { id: ada }, request())
  t.match((await settled(`/v1/mailboxes/${ada}`)).body, { state: 'consent-needed', consent: { code: 'invalid_grant', since: /^2/ } })
  t.match((await api.ask('GET', '/v1/mailboxes?state=consent-needed')).body, { data: [{ id: ada }] })
  t.equal((await connect()).status, 200)
  t.match((await settled(`/v1/mailboxes/${ada}`)).body, { state: 'connected', consent: null })
})

t.test('rules, policy and visibility are commands like any other', async (t) => {
  const rules = { addresses: ['Press@Example.org'], domains: ['@bank.example'], labels: ['Label_1'], ownDomain: true }
  const changed = await api.ask('PUT', `/v1/mailboxes/${ada}/rules`, rules, { 'idempotency-key': 'rules' })
  t.match(changed, { status: 200, body: { rules: { addresses: ['press@example.org'], domains: ['bank.example'] } } })
  const again = await api.ask('PUT', `/v1/mailboxes/${ada}/rules`, rules, { 'idempotency-key': 'rules' })
  t.equal(again.headers.get('etag'), changed.headers.get('etag'))
  t.match(await api.ask('PUT', `/v1/mailboxes/${ada}/rules`, { ...rules, domains: ['a', 'b'] }), {
    status: 400,
    body: { errors: [{ path: '/domains/0' }, { path: '/domains/1' }] },
  })
  t.equal((await api.ask('PUT', `/v1/mailboxes/${ada}/rules`, rules, { 'if-match': '"0.x"' })).status, 412)
  const policy = { create: 'written-to', skipFreeMail: true, blockedAddresses: [], blockedDomains: ['example.net'] }
  t.match(await api.ask('PUT', `/v1/mailboxes/${ada}/creation-policy`, policy), { status: 200, body: { creationPolicy: policy } })
  t.equal((await api.ask('PUT', `/v1/mailboxes/${ada}/creation-policy`, { ...policy, create: 'all' })).status, 400)
  const shared = await api.ask('PUT', `/v1/mailboxes/${ada}/visibility`, { visibility: 'subject' })
  t.match(shared, { status: 200, body: { visibility: 'subject' } })
  t.match((await api.after(shared, `/v1/mailboxes/${ada}`)).body, { ...shared.body })
  t.equal((await api.ask('PUT', `/v1/mailboxes/${idOf('no@example.com')}/rules`, rules)).status, 404)

  const key = (await createApiKeys(pool, undefined).makeFirst())!
  const another = { authorization: `Bearer ${key}` }
  t.match(await api.ask('PUT', `/v1/mailboxes/${ada}/visibility`, { visibility: 'everything' }, another), {
    status: 403,
    body: { code: 'not-owner' },
  })
  t.equal((await connect(ADA, another)).status, 200)
  t.match((await settled(`/v1/mailboxes/${ada}`)).body.owner, 'key:admin', 'its owner stays its owner')
  await t.rejects(runner.execute(changeVisibility, { visibility: 'everything' }, { id: ada }, request()), { code: 'not-owner' })
})

t.test('the consent is given back after disconnecting, however often that is tried, and not once it is given again', async (t) => {
  const bea = idOf('bea@example.org')
  t.equal((await connect('bea@example.org')).status, 200)
  const revoke = () => Promise.reject(new ProviderAway('backendError', 'Google answers 503.', { retryAfterSeconds: 7 }))
  const { google: here } = api.services
  const away = { ...api.services, google: { ...here!, provider: { ...here!.provider, revoke } } }
  const after = (services: typeof api.services) => disconnectJob.run({ mailboxId: bea } as never, { ...jobFor(), services } as never)
  t.strictSame(await after(away), { revoked: false, erased: 0 }, 'nothing is done for one that is connected')
  t.match(await api.ask('POST', `/v1/mailboxes/${bea}/disconnect`, {}), { status: 200, body: { state: 'disconnected' } })
  for (let tried = 1; tried <= 2; tried += 1) await t.rejects(after(away), { name: 'Failed', code: 'backendError', retryAfterSeconds: 7 })
  await t.rejects(after({ ...api.services, google: null }), { name: 'Failed', code: 'google-not-set-up' })
  t.ok(await vault.tokens.get(bea), 'the token is kept until then')
  t.strictSame(await after(api.services), { revoked: true, erased: 0 })
  t.equal(await vault.tokens.get(bea), null)
  t.strictSame(await after(away), { revoked: false, erased: 0 })
  t.equal((await connect('bea@example.org')).status, 200)
  t.strictSame(await after(api.services), { revoked: false, erased: 0 })
  t.ok(await vault.tokens.get(bea))
})

t.test('a push is believed by Google’s token alone', async (t) => {
  const audience = 'http://127.0.0.1:9/v1/hooks/gmail'
  const post = async (token: string | null, body: unknown = google.pushBody(ADA, 4_711)) => {
    const answer = await fetch(`${api.url}/v1/hooks/gmail`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token !== null && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(body),
    })
    return { status: answer.status, body: await answer.text() }
  }
  const good = google.pushToken({ audience })
  const forged = `${good.slice(0, -8)}AAAAAAAA`
  const past = Math.floor(Date.now() / 1000) - 7_200
  const wrong = {
    'no token': null,
    'no token of anybody': 'x.y.z',
    'another signature': forged,
    'another audience': google.pushToken({ audience: 'https://example.com/v1/hooks/gmail' }),
    'another account': google.pushToken({ audience, email: 'someone@example.iam.gserviceaccount.example' }),
    'an account that is not verified': google.pushToken({ audience, claims: { email_verified: false } }),
    'another issuer': google.pushToken({ audience, claims: { iss: 'https://accounts.example.com' } }),
    'an old one': google.pushToken({ audience, claims: { iat: past, exp: past + 3_600 } }),
  }
  for (const [what, token] of Object.entries(wrong)) {
    const { status, body } = await post(token, { not: 'looked at' })
    t.equal(status, 401, what)
    t.match(JSON.parse(body), { code: 'push-not-believed' })
  }
  t.equal((await post(good, google.pushBody('nobody@example.com', 1))).status, 204, 'a mailbox that is not known is no fault of Google’s')
  t.equal((await post(good, { message: { data: 'bm8=', messageId: '1' } })).status, 400)
  t.equal((await post(good, {})).status, 400)
})

t.test('without a client at Google, connecting says what is missing', async (t) => {
  const bare = await testApi(t, { on: { ...api.config, googleClientId: undefined as never } })
  t.match(await bare.ask('POST', '/v1/mailboxes/google/connect'), { status: 409, body: { code: 'google-not-set-up' } })
  t.equal(
    (await fetch(`${bare.url}/v1/hooks/gmail`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).status,
    401,
  )
})

t.test('what is to be of its mails is said before any is fetched', async (t) => {
  const wishes = { creationPolicy: { create: 'everyone', skipFreeMail: true }, visibility: 'subject' }
  const { body } = await api.ask('POST', '/v1/mailboxes/google/connect', { address: 'dot@example.net', ...wishes })
  t.equal((await comeBack(await consent(body.consentUrl))).status, 200)
  t.match((await settled(`/v1/mailboxes/${idOf('dot@example.net')}`)).body, wishes)
  t.strictSame(await typesOf(idOf('dot@example.net')), ['MailboxConnected', 'MailboxCreationPolicyChanged', 'MailboxVisibilityChanged'])
  const wrong = { creationPolicy: { create: 'some' } }
  t.equal((await api.ask('POST', '/v1/mailboxes/google/connect', wrong)).status, 400)
})
