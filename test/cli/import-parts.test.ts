import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { makeProgress } from '../../src/cli/import-progress.ts'
import { batches, surveyAll } from '../../src/cli/import-survey.ts'
import type { Row } from '../../src/import/contact-input.ts'
import { parseMap } from '../../src/import/csv-columns.ts'

const stream = (isTTY: boolean) => {
  const output = new PassThrough()
  const written = () => String(output.read() ?? '')
  return { output: Object.assign(output, { isTTY, columns: 80, rows: 25 }) as unknown as NodeJS.WriteStream, written }
}

t.test('a terminal sees a bar, everything else a line every few seconds, and a program nothing', async (t) => {
  const show = (progress: ReturnType<typeof makeProgress>) => {
    progress.start('people.csv', 10)
    progress.note('waiting')
    progress.note('waiting')
    progress.done(5)
    progress.done(10)
    progress.stop()
  }
  const terminal = stream(true)
  show(makeProgress(terminal.output))
  t.match(terminal.written(), /people\.csv \[ +\] 0 of 10 rows/)
  const lines = stream(false)
  show(makeProgress(lines.output, { lineSeconds: 0 }))
  t.equal(lines.written(), 'people.csv: waiting\npeople.csv: 5 of 10 rows\npeople.csv: 10 of 10 rows\n')
  show(makeProgress(lines.output, { lineSeconds: 60 }))
  t.equal(lines.written(), 'people.csv: waiting\n', 'no line for each batch')
  show(makeProgress(lines.output, { silent: true }))
  t.equal(lines.written(), '')
})

t.test('a progress that never began can be stopped', async (t) => {
  const terminal = stream(true)
  makeProgress(terminal.output).stop()
  t.pass()
})

const row = (line: number, name: string): Row => ({ line, raw: '', input: { name } })

t.test('a batch ends before it is larger than a server takes, and where it ends does not depend on faults', async (t) => {
  const large = 'x'.repeat(300_000)
  const rows = [row(1, large), row(2, large), row(3, large), row(4, 'small'), row(5, large.repeat(4)), row(6, 'small')]
  const cut = async (rows: Row[]) =>
    (await Array.fromAsync(batches(rows as unknown as AsyncIterable<Row>))).map(({ index, contacts }) => [
      index,
      contacts.map(({ line }) => line),
    ])
  const expected = [
    [0, [1, 2]],
    [1, [3, 4]],
    [2, [5]],
    [3, [6]],
  ]
  t.same(await cut(rows), expected)
  t.same(await cut(rows.flatMap((one) => [{ line: 0, raw: '', fault: 'no' }, one])), expected)
})

t.test('many faults are handed on without waiting for contacts', async (t) => {
  const rows: Row[] = [row(1, 'a'), ...Array.from({ length: 1200 }, (_, at) => ({ line: at + 2, raw: '', fault: 'no' })), row(2000, 'b')]
  const all = await Array.fromAsync(batches(rows as unknown as AsyncIterable<Row>))
  t.same(
    all.map(({ faults }) => faults.length),
    [500, 500, 200],
  )
  t.same(
    all.map(({ contacts }) => contacts.length),
    [0, 0, 2],
  )
})

t.test('the import id follows from the contacts that a file gives', async (t) => {
  const text = 'Name;Mail;Zweite Mail\nZoë;a@example.com;b@example.com\n'
  const folder = t.testdir({ 'a.csv': text, 'same.csv': Buffer.from(`\ufeff${text}`, 'utf16le'), 'other.csv': text.replace('Zoë', 'Zoe') })
  const id = async (name: string, map = '') => (await surveyAll([join(folder, name)], map ? { map: parseMap(map) } : {}))[0]?.importId
  const known = await id('a.csv')
  t.match(known, /^[0-9a-f]{8}-[0-9a-f]{4}-5/)
  t.equal(await id('same.csv'), known, 'not from how it is written')
  t.not(await id('other.csv'), known)
  t.not(await id('a.csv', 'Zweite Mail=email:other'), known)
})
