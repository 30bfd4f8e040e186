import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { rowsOf } from './read.ts'

const text = (...pieces: string[]) => fc.array(fc.constantFrom(...pieces), { maxLength: 60 }).map((parts) => parts.join(''))
const pieceBytes = fc.integer({ min: 1, max: 20 })

t.test('whatever stands in a CSV file, every line of it is told, and where it is cut changes nothing', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      text('"', '""', ',', ';', '\n', '\r\n', '\r', 'a', ' ', 'a@example.com', 'é'),
      pieceBytes,
      async (body, pieceBytes) => {
        const content = `Name,Email\n${body}`
        const rows = await rowsOf(content)
        assert.deepEqual(await rowsOf(content, {}, pieceBytes), rows)
        const lines = content.split(/\r\n|\n|\r/)
        const told = new Set(rows.flatMap(({ line, raw }) => raw.split(/\r\n|\n|\r/).map((_, at) => line + at)))
        lines.forEach((line, at) => {
          assert.ok(at === 0 || line === '' || told.has(at + 1), `line ${at + 1}`)
        })
        for (const { line, raw } of rows)
          assert.deepEqual(raw.split(/\r\n|\n|\r/), lines.slice(line - 1, line - 1 + raw.split(/\r\n|\n|\r/).length))
      },
    ),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('whatever stands in a vCard file, every card of it is told, and where it is cut changes nothing', async (t) => {
  const lines = [
    'BEGIN:VCARD\n',
    'END:VCARD\r\n',
    'VERSION:2.1\n',
    'FN:a\n',
    'FN;QUOTED-PRINTABLE:=\n',
    '=41\n',
    'PHOTO;BASE64:\n',
    'AAAA\n',
    ' AAAA\n',
    'AGENT:\n',
    'EMAIL;X="a:a@example.com\n',
    'N:;;\\;;\n',
    'ADR:;\n',
    '\n',
    ';:\n',
    '.:\n',
    ':\n',
    'x',
    '\r',
  ]
  await fc.assert(
    fc.asyncProperty(text(...lines), pieceBytes, async (body, pieceBytes) => {
      const content = `BEGIN:VCARD\n${body}`
      const rows = await rowsOf(content)
      assert.deepEqual(await rowsOf(content, {}, pieceBytes), rows)
      assert.ok(rows.length > 0)
    }),
    { numRuns: 1000 },
  )
  t.pass()
})
