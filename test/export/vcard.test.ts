import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type CardContact, vcardOf } from '../../src/export/vcard.ts'
import { contactsOf } from '../import/read.ts'

const id = '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'
const card: CardContact = {
  id,
  name: 'Ada Lovelace',
  company: 'Analytical Engines; Ltd',
  jobTitle: 'Countess',
  methods: [
    { type: 'email', value: 'ada@example.com', label: 'work' },
    { type: 'phone', value: '+442079460123', label: 'work cell' },
    { type: 'url', value: 'https://engines.example.com/a,b', label: 'Our site' },
    { type: 'social', value: '@ada', label: 'mastodon' },
    { type: 'address', value: 'St James’s Square 12, London' },
    { type: 'other', value: 'The Enchantress', label: 'nickname' },
    { type: 'other', value: 'desk 4' },
  ],
  notes: ['Met in Turin.\nLikes engines, and poetry.'],
  updatedAt: '2026-03-01T09:30:00.000Z',
}

t.test('a contact is a vCard 4.0', (t) => {
  t.equal(
    vcardOf(card),
    [
      'BEGIN:VCARD',
      'VERSION:4.0',
      'PRODID:-//SmartCRM//EN',
      `UID:urn:uuid:${id}`,
      'KIND:individual',
      'FN:Ada Lovelace',
      'ORG:Analytical Engines\\; Ltd',
      'TITLE:Countess',
      'EMAIL;TYPE=work:ada@example.com',
      'TEL;TYPE="work,cell":+442079460123',
      'item1.URL:https://engines.example.com/a,b',
      'item1.X-ABLABEL:Our site',
      'SOCIALPROFILE;VALUE=text;SERVICE-TYPE="mastodon":@ada',
      'ADR:;;St James’s Square 12\\, London;;;;',
      'NICKNAME:The Enchantress',
      'NOTE:desk 4',
      'NOTE:Met in Turin.\\nLikes engines\\, and poetry.',
      'REV:20260301T093000Z',
      'END:VCARD',
      '',
    ].join('\r\n'),
  )
  t.end()
})

t.test('the importer reads back what a card was made of, whatever stands in it, and no line is too long', async () => {
  const words = fc
    .array(fc.string({ unit: fc.constantFrom(...'aZéß中😀1,;:"\'\\=^|.&@-'), minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join(' '))
  const label = fc.option(fc.constantFrom('work', 'home', 'Our site', 'a,b;c:d'))
  const method = fc.oneof(
    fc.tuple(fc.constant('email' as const), fc.constant('ada@example.com'), label),
    fc.tuple(fc.constant('phone' as const), fc.constant('+442079460123'), label),
    fc.tuple(fc.constant('url' as const), fc.constantFrom('https://engines.example.com/a,b;c', 'engines.example.com'), label),
    fc.tuple(fc.constant('social' as const), fc.constant('@ada'), fc.option(fc.constantFrom('mastodon', 'matrix'))),
  )
  await fc.assert(
    fc.asyncProperty(words, fc.option(words), method, words, async (name, company, [type, value, label], note) => {
      const methods = [{ type, value, ...(label !== null && { label }) }]
      const text = vcardOf({ ...card, name, company, methods, notes: [note, 'two\r\nlines\u0000'] })
      for (const line of text.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 75, line)
      const read = await contactsOf(Buffer.from(text))
      assert.deepEqual(read, [{ name, ...(company !== null && { company }), methods }])
    }),
    { numRuns: 300 },
  )
})
