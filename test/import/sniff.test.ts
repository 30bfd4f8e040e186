import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { type FileKind, SNIFFED_BYTES, sniff } from '../../src/import/sniff.ts'

const cases: [string, string | Buffer, FileKind][] = [
  ['a mail', 'Return-Path: <a@b.example>\r\nFrom: a@b.example\r\nSubject: x\r\n\r\nFrom here\r\n', 'eml'],
  ['a mail after a byte order mark and empty lines', '\ufeff\r\n\r\nSubject: x\n\nbody', 'eml'],
  ['a mail with a long first header', `X-Long: ${'x'.repeat(2000)}\n y\nTo: a@b.example\n\nbody`, 'eml'],
  ['headers alone', 'Subject: x', 'eml'],
  ['a mail whose From is written in the old way', 'From  : a@b.example\nSubject : x\n\nbody', 'eml'],
  ['an mbox', 'From a@b.example Thu Nov 20 10:00:00 2008\nSubject: x\n\nbody\n', 'mbox'],
  ['an mbox from Google', 'From 1680@xxx Thu Jan 01 00:00:00 +0000 1970\r\nX-GM-THRID: 1\r\n\r\nbody\r\n', 'mbox'],
  ['a vCard', 'BEGIN:VCARD\r\nVERSION:3.0\r\n', 'vcard'],
  ['a vCard in UTF-16', Buffer.from('\ufeffBEGIN:VCARD\r\nVERSION:3.0\r\n', 'utf16le'), 'vcard'],
  ['a table', 'Name,E-mail\nAda,ada@b.example\n', 'csv'],
  ['a table whose first column looks like a header', 'Subject: x,From: y\n1,2\n3,4\n5,6\n', 'csv'],
  ['a table with a sentence above it', 'From: our shop, the list of customers\nName;Mail\nAda;a@b.example\nBob;b@b.example\n', 'csv'],
  ['nothing', '', 'csv'],
]

for (const [title, content, kind] of cases) {
  t.test(`${title} is told`, (t) => {
    t.equal(sniff(Buffer.from(content)), kind)
    t.end()
  })
}

const shared = new URL('../../../shared/data/', import.meta.url)
t.test('the samples are told', { skip: existsSync(shared) ? false : '../shared/data is not here' }, (t) => {
  for (const name of readdirSync(shared, { recursive: true }) as string[]) {
    const kind = sniff(readFileSyncIfFile(name).subarray(0, SNIFFED_BYTES))
    if (name.endsWith('.vcf')) t.equal(kind, 'vcard', name)
    if (name.endsWith('.csv')) t.equal(kind, 'csv', name)
    // Some were taken out of an mbox with their "From " line.
    if (name.endsWith('.eml')) t.ok(kind === 'eml' || kind === 'mbox', `${name}: ${kind}`)
  }
  t.end()
})

function readFileSyncIfFile(name: string): Buffer {
  return /\.\w+$/.test(name) ? readFileSync(new URL(name, shared)) : Buffer.alloc(0)
}
