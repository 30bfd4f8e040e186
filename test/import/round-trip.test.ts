import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { ContactInput, MethodInput } from '../../src/import/contact-input.ts'
import { contactsOf } from './read.ts'

// Words of what real names are made of, with everything that CSV and vCard give a meaning to; no two spaces, as those are tidied.
const letters = 'aZéßŁøñ中“€1,;:"\'\\=|.&@-'
const word = (alphabet = letters) => fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: 8 })
const words = (alphabet?: string) => fc.array(word(alphabet), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(' '))
const local = fc.string({ unit: fc.constantFrom(...'abcxyz019._+-'), minLength: 1, maxLength: 12 })
const email = local.map((name) => `${name}@example.com`)
const phone = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 3, maxLength: 12 }).map((digits) => `+${digits}`)

const contact = (alphabet?: string) =>
  fc.record({
    name: words(alphabet),
    company: fc.option(words(alphabet)),
    work: email,
    home: fc.option(email),
    cell: fc.option(phone),
    city: fc.option(words('abcé中')),
  })
type Made = ReturnType<typeof contact> extends fc.Arbitrary<infer Value> ? Value : never

/** What has to be read back. */
function expected({ name, company, work, home, cell, city }: Made): ContactInput {
  const methods: MethodInput[] = [{ type: 'email', value: work, label: 'work' }]
  if (home && home !== work) methods.push({ type: 'email', value: home, label: 'home' })
  if (cell) methods.push({ type: 'phone', value: cell, label: 'cell' })
  if (city) methods.push({ type: 'address', value: city, label: 'home' })
  return { name, ...(company ? { company } : {}), methods }
}

const encode: Record<string, (text: string) => Buffer> = {
  'utf-8': (text) => Buffer.from(text),
  'utf-8 with BOM': (text) => Buffer.from(`\ufeff${text}`),
  'utf-16le': (text) => Buffer.from(text, 'utf16le'),
  'utf-16le with BOM': (text) => Buffer.from(`\ufeff${text}`, 'utf16le'),
  'utf-16be': (text) => Buffer.from(text, 'utf16le').swap16(),
  'windows-1252': (text) => Buffer.from(text.replaceAll('€', '\x80').replaceAll('“', '\x93'), 'latin1'),
}
// A line in Windows-1252 may by chance be valid UTF-8 (the bytes of ß“ are); an ø never is, so every line gets one.
const WINDOWS_1252_LETTERS = 'aZéßøñ“€1,;:"\'\\=|.&@-'

t.test('contacts written as CSV are read back, in every encoding, separator, quoting and line end, wherever it is cut', async (t) => {
  const file = fc.constantFrom(...Object.keys(encode)).chain((encoding) =>
    fc.record({
      encoding: fc.constant(encoding),
      made: fc.array(
        contact(encoding === 'windows-1252' ? WINDOWS_1252_LETTERS : undefined).map((made) =>
          encoding === 'windows-1252' ? { ...made, name: `${made.name}ø`, city: null } : made,
        ),
        { minLength: 1, maxLength: 8 },
      ),
      separator: fc.constantFrom(',', ';', '\t', '|'),
      quoteAll: fc.boolean(),
      end: fc.constantFrom('\n', '\r\n', '\r'),
      pieceBytes: fc.integer({ min: 1, max: 300 }),
    }),
  )
  await fc.assert(
    fc.asyncProperty(file, async ({ encoding, made, separator, quoteAll, end, pieceBytes }) => {
      const cell = (value: string | null) =>
        value && (quoteAll || /[",;\t|\r\n]/.test(value)) ? `"${value.replaceAll('"', '""')}"` : (value ?? '')
      const rows = [
        ['Name', 'Company', 'Work Email', 'Home Email', 'Mobile', 'Home City'],
        ...made.map((one) => [one.name, one.company, one.work, one.home, one.cell, one.city]),
      ]
      const text = rows.map((row) => row.map(cell).join(separator)).join(end)
      assert.deepEqual(await contactsOf(encode[encoding]!(text), {}, pieceBytes), made.map(expected))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('contacts written as vCard 2.1, 3.0 and 4.0 are read back, folded anywhere and wherever it is cut', async (t) => {
  const escaped = (text: string) => text.replace(/[\\,;]/g, '\\$&')
  const printable = (text: string) => [...Buffer.from(text)].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  const fold = (line: string, width: number) => {
    const characters = [...line]
    const parts = Array.from({ length: Math.ceil(characters.length / width) }, (_, at) =>
      characters.slice(at * width, (at + 1) * width).join(''),
    )
    return parts.join('\r\n ')
  }
  const softBreaks = (line: string, width: number) => line.replace(new RegExp(`((?:=..){${width}})(?!$)`, 'g'), '$1=\r\n')
  const file = fc.record({
    made: fc.array(contact(), { minLength: 1, maxLength: 5 }),
    version: fc.constantFrom('2.1', '3.0', '4.0'),
    width: fc.integer({ min: 12, max: 75 }),
    pieceBytes: fc.integer({ min: 1, max: 300 }),
  })
  await fc.assert(
    fc.asyncProperty(file, async ({ made, version, width, pieceBytes }) => {
      const old = version === '2.1'
      const line = (name: string, types: string, value: string | null, structured = (text: string) => text) => {
        if (!value) return []
        if (old)
          return [
            softBreaks(`${name}${types && `;${types}`};CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:${structured(printable(value))}`, width),
          ]
        return [fold(`${name}${types && `;TYPE=${types}`}:${structured(escaped(value))}`, width)]
      }
      const cards = made.map((one) => [
        'BEGIN:VCARD',
        `VERSION:${version}`,
        ...line('FN', '', old ? one.name.replace(/\\/g, '/') : one.name),
        ...line('ORG', '', old ? (one.company?.replace(/[\\;]/g, '/') ?? null) : one.company, (text) => `${text};Department`),
        ...line('EMAIL', 'WORK', one.work),
        ...line('item1.EMAIL', 'HOME', one.home),
        ...line('TEL', 'CELL', one.cell),
        ...line('ADR', 'HOME', one.city, (text) => `;;;${text};;;`),
        'END:VCARD',
      ])
      // Version 2.1 has no escape for a backslash, nor for a semicolon inside a component.
      const told = old
        ? made.map((one) => ({ ...one, name: one.name.replace(/\\/g, '/'), company: one.company?.replace(/[\\;]/g, '/') ?? null }))
        : made
      assert.deepEqual(await contactsOf(`${cards.flat().join('\r\n')}\r\n`, {}, pieceBytes), told.map(expected))
    }),
    { numRuns: 300 },
  )
  t.pass()
})
