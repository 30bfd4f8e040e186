import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { errorForLog } from '../../src/platform/log.ts'
import { type GmailSettings, gmailProvider } from '../../src/providers/gmail.ts'
import { gmailPrices } from '../../src/providers/gmail-prices.ts'
import { GMAIL_SCOPE } from '../../src/providers/gmail-scope.ts'
import { ConsentNeeded, type Pace, ProviderAway } from '../../src/providers/mailbox.ts'
import { type GoogleOptions, startGoogle, testClient } from '../support/google/server.ts'
import { atOnce, granted, mail, mailboxContract, opened, type ProviderWorld, redirectUri } from '../support/mailbox-contract.ts'

const address = 'ada@example.com'
const patience = { tries: 4, timeoutMs: 300, firstRetryMs: 2, longestRetryMs: 5_000 }

async function start(t: Test, options: Partial<GoogleOptions> = {}, settings: Partial<GmailSettings> = {}) {
  const google = await startGoogle({
    accounts: [{ address: 'Ada@Example.com', name: 'Ada', aliases: ['Ada@Example.net', 'countess@example.org'], labels: ['Work'] }],
    auto: true,
    quota: { limit: 1_000_000 },
    ...options,
  })
  t.teardown(() => google.close())
  const { url } = google
  const provider = gmailProvider({
    clientId: testClient.id,
    clientSecret: testClient.secret,
    consentUrl: `${url}/o/oauth2/v2/auth`,
    tokenUrl: `${url}/token`,
    revokeUrl: `${url}/revoke`,
    apiUrl: url,
    patience,
    ...settings,
  })
  const user = google.addresses()[0]!
  const world: ProviderWorld = {
    provider,
    address,
    aliases: ['ada@example.net', 'countess@example.org'],
    label: 'Work',
    async consent(consentUrl) {
      const asked = new URL(consentUrl)
      // Google knows its own spelling only in this simulation.
      if (asked.searchParams.get('login_hint') === address) asked.searchParams.delete('login_hint')
      const answer = await fetch(asked, { redirect: 'manual' })
      return new URL(answer.headers.get('location')!)
    },
    add: (raw, { labels, at } = {}) =>
      google.add(user, { raw, ...(labels && { labelIds: labels }), ...(at !== undefined && { internalDate: at }) }).id,
    remove: (id) => google.remove(user, id),
    relabel: (id, labels) => google.relabel(user, id, labels),
    sayLess: () => google.mailbox(user).setOnlyMessagesShare(1),
    forgetChanges: () => google.expireHistory(user),
    forgetPages: () => google.expirePageTokens(),
    takeConsentBack: () => google.revokeConsent(user),
    fail(fault, times) {
      const faults = {
        away: 'unavailable',
        cut: 'cut',
        hang: 'hang',
        'too fast': 'rateLimitExceeded',
        unauthorized: 'unauthorized',
      } as const
      google.faults.clear()
      google.faults.add({ fault: fault === 'vanish' ? 'vanish' : faults[fault], times })
    },
  }
  return { google, world, provider }
}

t.test('Gmail keeps the contract of mailboxes', async (t) => {
  mailboxContract(t, async (t, patient) => (await start(t, {}, patient ? { patience: { ...patience, timeoutMs: 30_000 } } : {})).world)
})

t.test('consent is asked for reading alone, and for when nobody is there', async (t) => {
  const { provider } = await start(t)
  const asked = new URL(provider.consentUrl({ state: 's', codeChallenge: 'c', redirectUri, loginHint: address })).searchParams
  t.strictSame(Object.fromEntries(asked), {
    client_id: testClient.id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: GMAIL_SCOPE,
    state: 's',
    code_challenge: 'c',
    code_challenge_method: 'S256',
    access_type: 'offline',
    prompt: 'consent',
    login_hint: address,
  })
})

t.test('every try is paid for before it is made, by the price of its method', async (t) => {
  const { world, google } = await start(t)
  const paid: number[] = []
  const pace = (async (units: number) => {
    paid.push(units)
    return () => {}
  }) as unknown as Pace
  const { account } = await opened(world, pace)
  const id = world.add(mail('one'))
  await account.profile()
  await account.list({})
  await account.changes({ after: '1000' }).catch(() => {})
  await account.labels()
  await account.aliases()
  await account.get(id)
  await account.watch('projects/x/topics/y')
  await account.unwatch()
  t.strictSame(paid, [1, 5, 2, 1, 1, 20, 100, 50])
  t.equal(
    paid.reduce((sum, units) => sum + units),
    google.quota.account('Ada@Example.com').units,
    'as Google counts',
  )
  world.fail('away', 2)
  await account.get(id)
  t.strictSame(paid.slice(8), [20, 20, 20])

  const dearer = await start(t, {}, { prices: { ...gmailPrices, 'messages.get': 7 } })
  const other = await opened(dearer.world, pace)
  await other.account.get(dearer.world.add(mail('two')))
  t.equal(paid.at(-1), 7, 'prices can be set')
})

t.test('a turn that is not given stops the request', async (t) => {
  const { world, google } = await start(t)
  const { account } = await opened(world, () => Promise.reject(new Error('no turn')))
  const before = google.seen.length
  await t.rejects(account.profile(), { message: 'no turn' })
  t.equal(google.seen.length, before)
})

t.test('an access token is fetched once for all who ask, and again where it is not taken', async (t) => {
  const { world, google } = await start(t)
  const { account } = await opened(world)
  const ids = Array.from({ length: 20 }, (_, n) => world.add(mail(`${n}`)))
  const tokens = () => google.seen.filter(({ method }) => method === 'token').length
  const before = tokens()
  await Promise.all(ids.map((id) => account.get(id)))
  t.equal(tokens() - before, 1)
  google.faults.add({ fault: 'unauthorized', times: 1 })
  t.equal((await account.get(ids[0]!))?.id, ids[0])
  t.equal(tokens() - before, 2)
  const requests = google.seen.filter(({ method }) => method === 'messages.get')
  t.strictSame(
    requests.slice(-2).map(({ status }) => status),
    [401, 200],
  )
})

t.test('what Google says of how long to wait is kept to, and longer than we have patience for is for others to wait', async (t) => {
  const { world, google } = await start(t)
  const { account } = await opened(world)
  google.faults.add({ fault: 'userRateLimitExceeded', times: 1, retryAfterSeconds: 1 })
  await account.profile()
  const [refused, answered] = google.seen.slice(-2)
  t.match([refused, answered], [{ status: 403 }, { status: 200 }])
  t.ok(answered!.at - refused!.at >= 1_000, 'not before that')
  for (const fault of ['tooManyRequests', 'unavailable'] as const) {
    google.faults.clear()
    google.faults.add({ fault, retryAfterSeconds: 600 })
    const before = google.seen.length
    await t.rejects(account.profile(), { name: 'ProviderAway', retryAfterSeconds: 600 })
    t.equal(google.seen.length - before, 1, 'nobody asks again')
  }
  google.faults.clear()
  google.faults.add({ fault: 'unavailable', retryAfterSeconds: 4 })
  const reason = new Error('stop')
  const stopping = new AbortController()
  setTimeout(() => stopping.abort(reason), 20)
  await t.rejects(account.profile(stopping.signal), reason)
})

t.test('the tries are ours alone: the client makes none of its own', async (t) => {
  const { world, google } = await start(t)
  const { account, refreshToken } = await opened(world)
  await account.profile()
  for (const fault of ['internalError', 'badGateway', 'reset', 'tooManyRequests'] as const) {
    google.faults.clear()
    google.faults.add({ fault, retryAfterSeconds: 0 })
    const before = google.seen.length
    await t.rejects(account.profile(), ProviderAway)
    t.equal(google.seen.length - before, patience.tries, fault)
  }
  google.faults.clear()
  google.faults.add({ fault: 'unavailable', method: 'token' }, { fault: 'internalError', method: 'token' })
  const before = google.seen.length
  await t.rejects(world.provider.open(refreshToken, atOnce).profile(), ProviderAway)
  t.equal(google.seen.length - before, patience.tries, 'of tokens')
})

t.test('what only a person can mend is told from what passes', async (t) => {
  const { world, google, provider } = await start(t)
  const { account, refreshToken } = await opened(world)
  google.faults.add({ fault: 'insufficientPermissions', times: 1 })
  await t.rejects(account.profile(), { name: 'ConsentNeeded', code: 'insufficientPermissions' })
  google.faults.add({ fault: 'invalidGrant', times: 1 })
  await t.rejects(provider.open(refreshToken, atOnce).profile(), { name: 'ConsentNeeded', code: 'invalid_grant' })
  t.ok(await account.profile(), 'neither is asked for again and again')
  const other = await start(t, { clients: [{ id: 'another', secret: 'client' }] })
  await t.rejects(other.provider.open(refreshToken, atOnce).profile(), {
    name: 'ProviderAway',
    code: 'invalid_client',
    message: 'Google does not know GOOGLE_CLIENT_ID with this GOOGLE_CLIENT_SECRET.',
  })
  await t.rejects(other.provider.exchange({ code: 'a', codeVerifier: 'b', redirectUri }), { code: 'invalid_client' })
})

t.test('a consent to less than was asked for is seen by its scopes, and refused by Gmail', async (t) => {
  const { world, google } = await start(t)
  google.setGrants('Ada@Example.com', [])
  const { account, scopes } = await opened(world)
  t.strictSame(scopes, [])
  await t.rejects(account.profile(), ConsentNeeded)
  google.setGrants('Ada@Example.com', 'none')
  const { back } = await granted(world)
  t.equal(back.searchParams.get('error'), 'access_denied')
})

t.test('a message with an id that Gmail cannot read fails by itself', async (t) => {
  const { world } = await start(t)
  const { account } = await opened(world)
  await t.rejects(account.get('no id!'), { name: 'MessageUnreadable', code: 'invalidArgument' })
  t.ok(await account.profile())
})

t.test('no error says a token, however deep one looks', async (t) => {
  const { world, google } = await start(t)
  const { account, refreshToken } = await opened(world)
  await account.profile()
  const errors: unknown[] = []
  for (const fault of ['internalError', 'hang', 'insufficientPermissions', 'badGateway'] as const) {
    google.faults.clear()
    google.faults.add({ fault })
    errors.push(await account.profile().catch((error) => error))
  }
  google.faults.clear()
  google.revokeConsent('Ada@Example.com')
  errors.push(
    await world.provider
      .open(refreshToken, atOnce)
      .profile()
      .catch((error) => error),
  )
  google.faults.add({ fault: 'reset', method: 'token' })
  errors.push(
    await world.provider
      .open(refreshToken, atOnce)
      .profile()
      .catch((error) => error),
  )
  t.equal(errors.filter((error) => error instanceof ConsentNeeded || error instanceof ProviderAway).length, 6)
  for (const error of errors) {
    const text = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(errorForLog(error))
    t.notMatch(text, /ya29\.|1\/\/0|Bearer|simulated-secret/)
  }
})

t.test('watching says until when, and can be ended', async (t) => {
  const { world, google } = await start(t)
  const { account } = await opened(world)
  const until = await account.watch('projects/smartcrm-test/topics/gmail')
  t.ok(Date.parse(until) > Date.now() + 86_400_000)
  t.ok(google.watchOf('Ada@Example.com'))
  await account.unwatch()
  t.notOk(google.watchOf('Ada@Example.com'))
  await t.rejects(account.watch('no topic'), { name: 'ProviderAway', code: 'invalidArgument' })
})
