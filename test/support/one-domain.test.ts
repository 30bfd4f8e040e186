import { join } from 'node:path'
import t from 'tap'
import { startProgram } from './programs.ts'

t.test('what nobody catches fails the test that runs, and the next one goes on, without a hook on every promise', async (t) => {
  const text = `
    import t from 'tap'
    const never = new Promise(() => {})
    const alive = setInterval(() => {}, 1_000)
    t.test('throws', () => (setTimeout(() => { throw new Error('thrown') }), never))
    t.test('rejects', () => (Promise.reject(new Error('rejected')), never))
    t.test('holds another', (t) => t.test('throws inside', () => (setTimeout(() => { throw new Error('thrown inside') }), never)))
    t.test('is well', async (t) => t.pass())
    t.test('is over', async () => clearInterval(alive))
  `
  const args = ['--import=./test/support/one-domain.ts', '--input-type=module', '-e', text]
  const { code, stdout, stderr } = await startProgram(args, { env: {}, cwd: join(import.meta.dirname, '../..') }).ended
  t.equal(code, 1, stderr)
  t.equal(process.listenerCount('uncaughtExceptionMonitor'), 0, 'nor does tap have one here')
  const points = stdout.match(/^ *(not )?ok \d+ - [^#\n]*/gm)!.map((line) => line.replace(/\d+ - /, '').trim())
  t.strictSame(points, [
    'not ok thrown',
    'not ok throws',
    'not ok rejected',
    'not ok rejects',
    'not ok thrown inside',
    'not ok throws inside',
    'not ok holds another',
    'ok (unnamed test)',
    'ok is well',
    'ok is over',
  ])
})
