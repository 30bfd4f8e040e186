import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readContacts } from '../../src/import/contacts.ts'
import { contactsOf, rowsOf } from './read.ts'

const text = 'Name;Email;Company\r\nZoë Łuçenko;zoe@example.com;Ω Größe “€”\r\n'
const expected = [{ name: 'Zoë Łuçenko', company: 'Ω Größe “€”', methods: [{ type: 'email', value: 'zoe@example.com' }] }]
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16()
const utf16 = Buffer.from(text, 'utf16le')

const encodings: Record<string, Uint8Array> = {
  'UTF-8': Buffer.from(text),
  'UTF-8 with a byte order mark': Buffer.from(`\ufeff${text}`),
  'UTF-16 LE with a byte order mark': Buffer.from(`\ufeff${text}`, 'utf16le'),
  'UTF-16 BE with a byte order mark': swapped(Buffer.from(`\ufeff${text}`, 'utf16le')),
  'UTF-16 LE without one': utf16,
  'UTF-16 BE without one': swapped(utf16),
}

for (const [name, bytes] of Object.entries(encodings)) {
  t.test(`${name} is read, wherever it is cut`, async (t) => {
    for (const pieceBytes of [1, 3, 5000]) t.same(await contactsOf(bytes, {}, pieceBytes), expected)
  })
}

const windows1252 = (text: string) => Buffer.from(text.replaceAll('€', '\x80').replaceAll('“', '\x93').replaceAll('”', '\x94'), 'latin1')

t.test('Windows-1252 is read, its signs beyond Latin 1 too', async (t) => {
  const [contact] = await contactsOf(windows1252('Name;Email;Company\nZoë Größe;zoe@example.com;“€”'), {}, 7)
  t.match(contact, { name: 'Zoë Größe', company: '“€”' })
})

t.test('a line in Windows-1252 in a file of UTF-8 is read too', async (t) => {
  for (const end of ['\n', '\r']) {
    const bytes = Buffer.concat([
      Buffer.from(`Name,Email${end}Zoë Ł,a@example.com${end}`),
      windows1252(`Größe,b@example.com${end}`),
      Buffer.from('Łu,c@example.com'),
    ])
    for (const pieceBytes of [5, 5000]) {
      // Old Macs' files are not told apart line by line: nobody mixes those.
      const names = (await contactsOf(bytes, {}, pieceBytes)).map(({ name }) => name)
      t.same(names, ['Zoë Ł', 'Größe', 'Łu'], JSON.stringify([end, pieceBytes]))
    }
  }
})

t.test('a long line without an end is decoded without breaking a character', async (t) => {
  const name = 'Łuç'.repeat(600_000)
  for (const pieceBytes of [65_536, 65_537, 65_539, 65_543]) {
    const rows = await rowsOf(`Name,Email\n${name},a@example.com\nJoan,b@example.com`, {}, pieceBytes)
    t.match(rows, [{ fault: /longer than 1 MiB/ }, { input: { name: 'Joan' } }])
    t.match(rows[0]?.raw, /^ŁuçŁuç/)
  }
})

t.test('--encoding names any other encoding', async (t) => {
  const bytes = Buffer.concat([
    Buffer.from('Name,Email\n'),
    Buffer.from([0x83, 0x65, 0x83, 0x58, 0x83, 0x67]),
    Buffer.from(',a@example.com\n'),
  ])
  t.match(await contactsOf(bytes, { encoding: 'shift_jis' }), [{ name: 'テスト' }])
  await t.rejects(rowsOf(bytes, { encoding: 'klingon' }), { message: /"klingon" is no known encoding/ })
})

t.test('what is no text is refused with what to do', async (t) => {
  await t.rejects(rowsOf(Buffer.from('504b0304140006000800', 'hex')), { message: /workbook.*Save it as CSV/ })
  await t.rejects(rowsOf(Buffer.from('d0cf11e0a1b11ae1', 'hex')), { message: /workbook/ })
  await t.rejects(rowsOf(Buffer.from([1, 0, 0, 0, 2, 3, 7, 4])), { message: /zero bytes/ })
  await t.rejects(rowsOf(Buffer.from([0xff, 0xfe, 0, 0, 65, 0, 0, 0])), { message: /UTF-32/ })
  await t.rejects(rowsOf('%PDF-1.7 …'), { message: /PDF/ })
  await t.rejects(rowsOf('<!DOCTYPE html><p>Name,Email'), { message: /HTML/ })
})

t.test('a file is read by its path, and its content says what it is', async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'smartcrm-')), 'contacts.txt')
  writeFileSync(path, '\ufeffBEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zoë\r\nEND:VCARD\r\n')
  t.match(await Array.fromAsync(readContacts(path)), [{ line: 1, input: { name: 'Zoë' } }])
  await t.rejects(Array.fromAsync(readContacts(`${path}.missing`)), { code: 'ENOENT' })
})
