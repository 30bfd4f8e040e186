import addresses from 'email-addresses'
import fc from 'fast-check'
import t from 'tap'
import { methodFaults, newMethods, toMethod } from '../../src/contacts/methods.ts'
import { normalizeEmail } from '../../src/platform/email-address.ts'
import { id } from '../support/given.ts'

const local64 = 'l'.repeat(64)
const longDomain = (length: number) => {
  const tail = '.com'
  const labels = 'd'.repeat(length - tail.length).replace(/(.{63})./g, '$1.')
  return labels + tail
}

t.test('the normal form of an e-mail address', async (t) => {
  for (const [written, normal] of [
    ['ada@example.com', 'ada@example.com'],
    ['Ada.Lovelace@Example.COM', 'ada.lovelace@example.com'],
    ['  ada@example.com\t', 'ada@example.com'],
    ['ada+news@example.com', 'ada+news@example.com'],
    ['a.d.a@gmail.com', 'a.d.a@gmail.com'],
    ["o'hara_x!#$%&*/=?^`{|}~-@example.com", "o'hara_x!#$%&*/=?^`{|}~-@example.com"],
    ['info@MÜNCHEN.example', 'info@xn--mnchen-3ya.example'],
    ['info@mu\u0308nchen.example', 'info@xn--mnchen-3ya.example'],
    ['info@xn--mnchen-3ya.example', 'info@xn--mnchen-3ya.example'],
    ['info@faß.example', 'info@xn--fa-hia.example'],
    ['info@例え.テスト', 'info@xn--r8jz45g.xn--zckzah'],
    ['info@example。com', 'info@example.com'],
    ['info@sub.sub.example.museum', 'info@sub.sub.example.museum'],
    ['jörg@example.com', 'jörg@example.com'],
    ['jo\u0308rg@example.com', 'jörg@example.com'],
    ['x@1and1.example', 'x@1and1.example'],
    [`${local64}@example.com`, `${local64}@example.com`],
    [`a@${longDomain(252)}`, `a@${longDomain(252)}`],
  ] as const)
    t.equal(normalizeEmail(written), normal, JSON.stringify(written))
})

t.test('an address of letters, digits and dots is what the grammar says it is', async (t) => {
  const text = (characters: string) => fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(text('aZ09_+-.'), text('aZ09-.'), (local, start) => {
      const domain = `${start}.example`
      // Two hyphens may mean a name in other letters.
      fc.pre(!domain.includes('--'))
      const written = `${local}@${domain}`
      const parsed = addresses.parseOneAddress({ input: written, rfc6532: true, rejectTLD: false })
      const isHost = domain.split('.').every((label) => /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i.test(label))
      const isAddress = isHost && parsed?.type === 'mailbox' && parsed.address === written
      return normalizeEmail(written) === (isAddress ? written.toLowerCase() : null)
    }),
    { numRuns: 2_000 },
  )
  t.pass('for two thousand of them')
})

t.test('what is no e-mail address that anybody could have', async (t) => {
  for (const written of [
    '',
    ' ',
    'ada',
    '@example.com',
    'ada@',
    'ada@localhost',
    'ada@@example.com',
    'ada@example',
    'ada@example.c',
    'ada@.example.com',
    'ada@example..com',
    'ada@example.com.',
    'ada@-example.com',
    'ada@example-.com',
    'ada@exam_ple.com',
    '.ada@example.com',
    'ada.@example.com',
    'a..da@example.com',
    'a da@example.com',
    'ada@exam ple.com',
    'ada@example.com bob@example.com',
    'ada@example.com, bob@example.com',
    'Ada <ada@example.com>',
    '<ada@example.com>',
    'ada(work)@example.com',
    'mailto:ada@example.com',
    'friends: ada@example.com;',
    '"ada"@example.com',
    '"a b"@example.com',
    '"a@b"@example.com',
    'ada@[127.0.0.1]',
    'ada@127.0.0.1',
    'ada@127.0.0.10',
    'ada@0x7f.25',
    'ada\0@example.com',
    'ada\r\n@example.com',
    `l${local64}@example.com`,
    `${'ö'.repeat(33)}@example.com`,
    `a@${longDomain(253)}`,
    `a@${'d'.repeat(64)}.com`,
    'ada@xn--\u{1F600}.com',
  ])
    t.equal(normalizeEmail(written), null, JSON.stringify(written))
})

t.test('a normal form is its own normal form, and never longer than what SMTP carries', async (t) => {
  const character = fc.oneof(fc.constantFrom(...'aAzZ09.+-_@"İIıßſKÅ'), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }))
  const part = fc.array(character, { minLength: 1, maxLength: 8 }).map((characters) => characters.join(''))
  fc.assert(
    fc.property(part, part, fc.constantFrom('com', 'example', 'テスト', 'İs'), (local, domain, top) => {
      const normal = normalizeEmail(`${local}@${domain}.${top}`)
      if (normal === null) return
      if (normalizeEmail(normal) !== normal) throw new Error(`${JSON.stringify(normal)} becomes ${JSON.stringify(normalizeEmail(normal))}`)
      if (Buffer.byteLength(normal) > 254) throw new Error('too long')
    }),
    { numRuns: 3_000 },
  )
  t.pass('for any that fast-check thought of')
})

t.test('how methods are kept', async (t) => {
  t.same(toMethod(id(1), { type: 'email', value: ' Ada@Example.com ', label: ' ' }), {
    id: id(1),
    type: 'email',
    value: 'Ada@Example.com',
    normalized: 'ada@example.com',
  })
  const phone = (value: string) => toMethod(id(1), { type: 'phone', value, label: 'work' })
  const base = { id: id(1), type: 'phone', label: 'work' }
  t.same(phone('+44 (0)20 7946 0123'), { ...base, value: '+442079460123', raw: '+44 (0)20 7946 0123' }, 'E.164 beside what was written')
  t.same(phone('+1 212-555-0100 ext. 42'), { ...base, value: '+12125550100', raw: '+1 212-555-0100 ext. 42' }, 'the extension stays in raw')
  t.same(phone(' 020 7946 0123 '), { ...base, value: '020 7946 0123', raw: '020 7946 0123' }, 'without a country it stays as written')
  t.same(phone('+999 1'), { ...base, value: '+999 1', raw: '+999 1' }, 'so does what is no number')
  t.same(phone('ask Bob'), { ...base, value: 'ask Bob', raw: 'ask Bob' })
  for (const type of ['url', 'social', 'address', 'other'] as const)
    t.same(toMethod(id(1), { type, value: ' As Written ', label: 'x' }), { id: id(1), type, value: 'As Written', label: 'x' })
})

t.test('each way to reach somebody is kept once', async (t) => {
  const there = [toMethod(id(50), { type: 'email', value: 'ada@example.com' })]
  const added = newMethods(
    [
      { type: 'email', value: 'ADA@example.com', label: 'another label' },
      { type: 'phone', value: '+44 20 7946 0123' },
      { type: 'phone', value: '+442079460123' },
      { type: 'phone', value: '+442079460123 x9' },
      { type: 'phone', value: '+442079460123 ext 9' },
      { type: 'other', value: '+442079460123' },
      { type: 'url', value: 'https://example.com/A' },
      { type: 'url', value: 'https://example.com/a' },
      { type: 'url', value: 'https://example.com/a ' },
    ],
    there,
    id,
    1,
  )
  t.same(
    added.map(({ id, type, value }) => [id, type, value]),
    [
      [id(2), 'phone', '+442079460123'],
      [id(4), 'phone', '+442079460123'],
      [id(6), 'other', '+442079460123'],
      [id(7), 'url', 'https://example.com/A'],
      [id(8), 'url', 'https://example.com/a'],
    ],
    'ids follow the place in the input, so that a repeat makes the same ones',
  )
})

t.test('faults that no schema tells', async (t) => {
  t.same(methodFaults('/methods/3', { type: 'email', value: 'nonsense' }), [
    { path: '/methods/3/value', message: 'must be an e-mail address, like ada@example.com' },
  ])
  t.same(methodFaults('', { type: 'email', value: 'ada@example.com' }), [])
  t.same(methodFaults('', { type: 'phone', value: 'nonsense' }), [])
  for (const broken of [null, undefined, 7, 'text', [], {}, { type: 'email' }, { type: 'email', value: 7 }, { type: {}, value: [] }])
    t.same(methodFaults('', broken), [], `${JSON.stringify(broken)} is left to the schema`)
})
