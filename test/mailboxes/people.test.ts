import t from 'tap'
import type { PolicyHeaders } from '../../schema/email.ts'
import type { CreationPolicy } from '../../schema/mailbox-events.ts'
import { isFreeMail } from '../../src/mailboxes/addresses.ts'
import { freeMailDomains } from '../../src/mailboxes/free-mail-domains.ts'
import { contactsToCreate, isAutomated, isNobody, nameFrom, noPeople, type PeopleOfMail } from '../../src/mailboxes/people.ts'
import { normalizeEmail } from '../../src/platform/email-address.ts'

const own = new Set(['ada@example.com', 'countess@example.net'])
const mail = (more: Partial<PeopleOfMail> = {}): PeopleOfMail => ({
  sent: false,
  headers: {},
  from: [{ address: 'grace@navy.example.org', name: 'Grace Hopper' }],
  replyTo: [{ address: 'answers@navy.example.org' }],
  to: [{ address: 'ada@example.com' }, { address: 'bea@example.org' }],
  cc: [{ address: 'kay@example.org', name: 'Kay' }],
  bcc: [],
  ...more,
})
const sent = (more: Partial<PeopleOfMail> = {}) =>
  mail({ sent: true, from: [{ address: 'ada@example.com', name: 'Ada' }], replyTo: [], ...more })
const created = (mail: PeopleOfMail, policy: Partial<CreationPolicy> = {}, isSuppressed?: (address: string) => boolean) =>
  contactsToCreate(mail, { policy: { ...noPeople, create: 'everyone', ...policy }, own, ...(isSuppressed && { isSuppressed }) })
const addresses = (...given: Parameters<typeof created>) => created(...given).map(({ address }) => address)

t.test('contacts are made of nobody, of those written to, or of everyone, and never of oneself', async (t) => {
  t.strictSame(created(mail()), [
    { address: 'grace@navy.example.org', name: 'Grace Hopper' },
    { address: 'bea@example.org', name: 'Bea' },
    { address: 'kay@example.org', name: 'Kay' },
  ])
  t.strictSame(addresses(sent()), ['bea@example.org', 'kay@example.org'])
  t.strictSame(addresses(sent(), { create: 'written-to' }), ['bea@example.org', 'kay@example.org'])
  t.strictSame(addresses(mail(), { create: 'written-to' }), [])
  for (const one of [mail(), sent()]) t.strictSame(addresses(one, { create: 'none' }), [])
  t.strictSame(addresses(mail({ from: [{ address: 'countess@example.net' }], to: [], cc: [] })), [], 'an alias is oneself')
})

t.test('blocked addresses and domains, suppressed ones, and free mail where that is asked for, stay out', async (t) => {
  t.strictSame(addresses(mail(), { blockedAddresses: ['kay@example.org'] }), ['grace@navy.example.org', 'bea@example.org'])
  t.strictSame(addresses(mail(), { blockedDomains: ['example.org'] }), [], 'and what is below a domain')
  t.strictSame(addresses(mail(), { blockedDomains: ['navy.example.org'] }), ['bea@example.org', 'kay@example.org'])
  t.strictSame(
    addresses(mail(), {}, (address) => address === 'bea@example.org'),
    ['grace@navy.example.org', 'kay@example.org'],
  )
  const free = mail({ from: [{ address: 'grace@gmail.com' }], to: [{ address: 'bea@mail.yahoo.co.uk' }] })
  t.strictSame(addresses(free), ['grace@gmail.com', 'bea@mail.yahoo.co.uk', 'kay@example.org'])
  t.strictSame(addresses(free, { skipFreeMail: true }), ['kay@example.org'])
})

t.test('what no person has written makes no contact', async (t) => {
  const automated: PolicyHeaders[] = [
    { listUnsubscribe: '<https://example.org/leave>' },
    { listId: 'Engines <engines.example.org>' },
    ...['bulk', 'list', 'junk', ' Bulk', 'LIST '].map((precedence) => ({ precedence })),
    ...['auto-generated', 'auto-replied', 'Auto-Notified; owner-email="a@example.org"', 'yes'].map((autoSubmitted) => ({ autoSubmitted })),
    { returnPath: '<>' },
    { returnPath: ' < > ' },
  ]
  for (const headers of automated) {
    t.ok(isAutomated(headers), JSON.stringify(headers))
    t.strictSame(created(mail({ headers })), [])
    t.strictSame(created(sent({ headers })), [])
  }
  const written: PolicyHeaders[] = [
    {},
    { precedence: 'first-class' },
    { precedence: 'normal' },
    { autoSubmitted: 'no' },
    { autoSubmitted: 'No (by hand)' },
    { returnPath: '<grace@navy.example.org>' },
  ]
  for (const headers of written) t.notOk(isAutomated(headers), JSON.stringify(headers))
})

t.test('addresses that nobody reads are known by their names, and people’s are not taken for such', async (t) => {
  const nobody = `no-reply noreply no_reply no.reply donotreply do-not-reply do_not_reply NO-REPLY noreply+12 noreply-billing jobs-noreply
    mailer-daemon mailerdaemon postmaster bounce bounces bounces+a=b bounce-12 list-bounces auto-reply autoresponder unsubscribe`
  for (const local of nobody.split(/\s+/)) t.ok(isNobody(`${local.toLowerCase()}@example.org`), local)
  for (const local of ['norah', 'nora.replyson', 'reply', 'info', 'postmasterson', 'bouncer', 'grace.hopper', 'no', 'noreen', 'marketing'])
    t.notOk(isNobody(`${local}@example.org`), local)
  t.strictSame(addresses(sent({ to: [{ address: 'no-reply@example.org' }], cc: [] })), [])
})

t.test('an address is there once, with the name that a header gives, or one made of it', async (t) => {
  const names = (name: string) => created(mail({ from: [{ address: 'g.hopper@navy.example.org', name }], to: [], cc: [] }))[0]?.name
  t.equal(names('Grace Hopper'), 'Grace Hopper')
  t.equal(names('Hopper, Grace'), 'Grace Hopper')
  t.equal(names('Hopper, Grace M.'), 'Grace M. Hopper')
  t.equal(names('Engines, Inc.'), 'Engines, Inc.')
  t.equal(names("'Grace Hopper'"), 'Grace Hopper')
  t.equal(names('"Grace"   Hopper '), 'Grace Hopper')
  t.equal(names('g.hopper@navy.example.org'), 'G Hopper')
  t.equal(names('president@example.gov'), 'G Hopper', 'an address that is given for a name is none')
  t.equal(names('***'), 'G Hopper')
  t.equal(names('田中 花子'), '田中 花子')
  t.equal(names('x'.repeat(1_000))?.length, 200)
  const twice = mail({ from: [{ address: 'bea@example.org' }], to: [{ address: 'bea@example.org', name: 'Beatrice' }], cc: [] })
  t.strictSame(created(twice), [{ address: 'bea@example.org', name: 'Beatrice' }])
  t.strictSame(created(mail({ from: [{ name: 'undisclosed' }], to: [], cc: [] })), [], 'what is no address is nobody')
})

t.test('a name is made of an address as people would read it', async (t) => {
  t.equal(nameFrom('grace.hopper@example.org'), 'Grace Hopper')
  t.equal(nameFrom('grace_hopper-murray+crm@example.org'), 'Grace Hopper Murray')
  t.equal(nameFrom('ada1815@example.org'), 'Ada')
  t.equal(nameFrom('12345@example.org'), '12345@example.org')
  t.equal(nameFrom('éva.nagy@example.org'), 'Éva Nagy')
})

t.test('the list of providers of free mail holds domains in their normal form, and those that everybody knows', async (t) => {
  for (const domain of freeMailDomains) if (normalizeEmail(`a@${domain}`) !== `a@${domain}`) t.fail(domain)
  for (const domain of [
    'gmail.com',
    'outlook.com',
    'yahoo.fr',
    'gmx.de',
    'web.de',
    'qq.com',
    'proton.me',
    'mailinator.com',
    'name.duck.com',
  ])
    t.ok(isFreeMail(domain), domain)
  for (const domain of ['example.com', 'notgmail.com', 'google.com', 'com']) t.notOk(isFreeMail(domain), domain)
})
