import t from 'tap'
import { countTests } from './count-tests.ts'

/** One file's TAP within a run's: indented, and summed up by the last line. */
const run = (...files: string[][]) =>
  [
    'TAP version 14',
    `1..${files.length}`,
    ...files.flatMap((lines) => [...lines.slice(0, -1).map((line) => `    ${line}`), lines.at(-1)]),
  ].join('\n')

const passing = ['# Subtest: adds', '    ok 1 - one assertion', '    ok 2 - another', '    1..2', 'ok 1 - adds # time=1ms']

t.test('a test counts once, however many assertions it makes', async (t) => {
  t.match(countTests(run([...passing, '1..1', 'ok 1 - test/a.test.ts'])), { passed: 1, failed: 0, skipped: 0, failures: [] })
})

t.test('a failed test is named, and a skipped one counted', async (t) => {
  const file = [
    '# Subtest: takes away',
    '    not ok 1 - no',
    '      ---',
    '      source: |',
    '        ok 7 - not a test but a line of the source',
    '      ...',
    '    1..1',
    'not ok 1 - takes away',
    'ok 2 - divides # SKIP needs a divisor',
    'ok 3 - multiplies # TODO',
    '1..3',
    'not ok 1 - test/a.test.ts',
  ]
  t.match(countTests(run(file)), { passed: 0, failed: 1, skipped: 2, failures: ['test/a.test.ts > takes away'] })
})

t.test('tests within tests are counted, not what is around them', async (t) => {
  const nested = ['# Subtest: numbers', ...passing.map((line) => `    ${line}`), '    1..1', 'ok 1 - numbers']
  t.match(countTests(run([...nested, '1..1', 'ok 1 - test/a.test.ts'])), { passed: 1, failed: 0 })
})

t.test('a file that fails beside its tests, or has none, fails once', async (t) => {
  const late = [...passing, '1..1', 'not ok 1 - test/slow.test.ts # time=120000ms']
  const broken = ['1..0', 'not ok 2 - test/broken.test.ts']
  t.match(countTests(run(late, broken)), { passed: 1, failed: 2, failures: ['test/slow.test.ts', 'test/broken.test.ts'] })
})

t.test('a file that gives up early counts as failed', async (t) => {
  t.match(countTests('TAP version 14\nBail out! no disk\n'), { failed: 1, failures: ['bail out: no disk'] })
})
