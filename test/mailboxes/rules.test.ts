import fc from 'fast-check'
import t from 'tap'
import type { ExclusionRules } from '../../schema/mailbox-events.ts'
import { normalizeDomain } from '../../src/mailboxes/addresses.ts'
import { excludedBy, noRules, type People } from '../../src/mailboxes/rules.ts'

const own = new Set(['ada@engines.example.com', 'ada@example.net'])
const party = (address: string) => ({ address })
const people = (from: string, to: string[], more: Partial<People> = {}): People => ({
  from: [party(from)],
  replyTo: [],
  to: to.map(party),
  cc: [],
  bcc: [],
  ...more,
})
const mail = people('grace@navy.example.org', ['ada@engines.example.com'])
const rule = (rules: Partial<ExclusionRules>, facts: { labels?: string[]; people?: People } = {}) =>
  excludedBy({ labels: ['INBOX'], people: mail, ...facts }, { ...noRules, ...rules }, own)

t.test('without rules only what is no mail to anybody stays out', async (t) => {
  t.equal(rule({}), null)
  for (const [label, expected] of Object.entries({ DRAFT: 'draft', CHAT: 'chat', SPAM: 'spam', TRASH: 'trash' }))
    t.strictSame(rule({}, { labels: ['INBOX', label] }), { rule: expected })
  for (const label of ['INBOX', 'SENT', 'UNREAD', 'STARRED', 'IMPORTANT', 'CATEGORY_PROMOTIONS', 'Label_1', 'draft'])
    t.equal(rule({}, { labels: [label] }), null)
})

t.test('a label keeps out what has it, by its id', async (t) => {
  t.strictSame(rule({ labels: ['Label_7'] }, { labels: ['INBOX', 'Label_7'] }), { rule: 'label', by: 'Label_7' })
  t.equal(rule({ labels: ['Label_7'] }, { labels: ['Label_77'] }), null)
})

t.test('an address keeps out every mail that its owner takes part in, in whatever header', async (t) => {
  const address = 'grace@navy.example.org'
  const without = people('bea@example.org', ['ada@example.net'])
  for (const place of ['from', 'replyTo', 'to', 'cc', 'bcc'] as const)
    t.strictSame(rule({ addresses: [address] }, { people: { ...without, [place]: [party(address)] } }), { rule: 'address', by: address })
  t.strictSame(rule({ addresses: [address] }, { people: { ...without, sender: party(address) } }), { rule: 'address', by: address })
  t.equal(rule({ addresses: ['race@navy.example.org', 'grace@example.org'] }), null)
})

t.test('a domain keeps out itself and what is below it, and nothing that only ends alike', async (t) => {
  t.strictSame(rule({ domains: ['navy.example.org'] }), { rule: 'domain', by: 'navy.example.org' })
  t.strictSame(rule({ domains: ['example.org'] }), { rule: 'domain', by: 'example.org' })
  t.equal(rule({ domains: ['vy.example.org', 'fleet.navy.example.org', 'example.com'] }), null)
})

t.test('one’s own addresses keep nothing out, or nothing would be left', async (t) => {
  t.equal(rule({ addresses: [...own], domains: ['engines.example.com', 'example.net'] }), null)
})

t.test('mail among people of one’s own domain alone stays out where that is asked for', async (t) => {
  const among = people('bea@engines.example.com', ['ada@engines.example.com', 'kay@lab.engines.example.com'])
  t.equal(rule({}, { people: among }), null)
  t.strictSame(rule({ ownDomain: true }, { people: among }), { rule: 'own-domain' })
  t.equal(rule({ ownDomain: true }, { people: { ...among, cc: [party('grace@navy.example.org')] } }), null, 'not with one other')
  t.equal(rule({ ownDomain: true }, { people: people('ada@example.net', ['ada@engines.example.com']) }), null, 'nor to oneself')
  t.equal(rule({ ownDomain: true }, { people: { from: [], replyTo: [], to: [], cc: [], bcc: [] } }), null, 'nor with nobody')
  const atGmail = { labels: [], people: people('bea@gmail.com', ['ada@gmail.com']) }
  t.equal(excludedBy(atGmail, { ...noRules, ownDomain: true }, new Set(['ada@gmail.com'])), null, 'a provider of free mail is nobody’s own')
})

t.test('the labels come first, since they are known first', async (t) => {
  t.strictSame(rule({ addresses: ['grace@navy.example.org'], labels: ['L'] }, { labels: ['L'] }), { rule: 'label', by: 'L' })
  t.strictSame(rule({ labels: ['L'] }, { labels: ['L', 'SPAM'] }), { rule: 'spam' })
})

t.test('more rules keep out more: what is out stays out', async (t) => {
  const domain = fc.constantFrom('example.org', 'navy.example.org', 'example.com', 'engines.example.com')
  const address = fc.tuple(fc.constantFrom('a', 'b', 'ada'), domain).map(([local, at]) => `${local}@${at}`)
  const some = <T>(of: fc.Arbitrary<T>) => fc.array(of, { maxLength: 3 })
  const rules = fc.record({
    addresses: some(address),
    domains: some(domain),
    labels: some(fc.constantFrom('x', 'y')),
    ownDomain: fc.boolean(),
  })
  const facts = fc.record({
    labels: some(fc.constantFrom('x', 'y', 'INBOX')),
    people: fc.tuple(address, some(address)).map(([from, to]) => people(from, to)),
  })
  fc.assert(
    fc.property(rules, rules, facts, (one, other, fact) => {
      const both = {
        addresses: [...one.addresses, ...other.addresses],
        domains: [...one.domains, ...other.domains],
        labels: [...one.labels, ...other.labels],
        ownDomain: one.ownDomain || other.ownDomain,
      }
      const isOut = (rules: ExclusionRules) => excludedBy(fact, rules, own) !== null
      return isOut(both) === (isOut(one) || isOut(other))
    }),
  )
  t.pass('for any two of them')
})

t.test('domains have one normal form', async (t) => {
  for (const text of ['Example.ORG', ' example.org ', '@example.org', '*.example.org', '*@example.org'])
    t.equal(normalizeDomain(text), 'example.org')
  t.equal(normalizeDomain('Bücher.example'), 'xn--bcher-kva.example')
  for (const text of [
    '',
    'org',
    'a@example.org',
    'example..org',
    '-a.example',
    'exa mple.org',
    '127.0.0.1',
    'example.org.',
    `${'a'.repeat(64)}.example`,
  ])
    t.equal(normalizeDomain(text), null, text)
})
