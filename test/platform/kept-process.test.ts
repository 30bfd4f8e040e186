import { spawn } from 'node:child_process'
import t from 'tap'
import { keepRunning } from '../../src/platform/kept-process.ts'
import { isAlive, until } from '../support/processes.ts'
import { recordingLog } from '../support/recording-log.ts'

const forever = 'setInterval(() => {}, 1000)'

function kept(program: string, onEnd: (code: number | null) => boolean = () => true, command = process.execPath) {
  const pids: (number | undefined)[] = []
  const { log, lines } = recordingLog<{ pauseMs?: number; msg: string; code?: number | null; signal?: string | null }>()
  let output = ''
  const start = () => {
    const child = spawn(command, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.on('data', (text) => (output += text))
    pids.push(child.pid)
    return child
  }
  return { process: keepRunning({ name: 'it', log, start, onEnd }), pids, lines, printed: () => output }
}

t.test('a process that is killed is started again, which is logged', async (t) => {
  const { process: it, pids, lines } = kept(forever)
  t.teardown(() => it.stop(1))
  process.kill(pids[0]!, 'SIGKILL')
  await until('another one', () => pids[1])
  t.match(lines, [{ role: 'it', code: null, signal: 'SIGKILL', msg: 'it ended and is started again' }])
  t.ok(await isAlive(pids[1]!))
})

t.test('the pauses grow while it dies at once', async (t) => {
  const { process: it, lines } = kept('process.exit(7)')
  await until('four deaths', () => lines.length >= 4)
  await it.stop(1)
  t.match(
    lines.slice(0, 4).map(({ pauseMs, code }) => ({ pauseMs, code })),
    [100, 200, 400, 800].map((pauseMs) => ({ pauseMs, code: 7 })),
  )
})

t.test('a program that is not there is tried again, too', async (t) => {
  const { process: it, lines } = kept('', undefined, '/no/such/program')
  await until('two tries', () => lines.length >= 2)
  await it.stop(1)
  t.match(lines, [{ code: null }, { code: null }])
})

t.test('one that is stopped stays so', async (t) => {
  const { process: it, pids, lines } = kept(forever)
  await it.stop(10)
  t.notOk(await isAlive(pids[0]!))
  t.strictSame([pids.length, lines], [1, []])
})

t.test('one that is stopped in the pause before its next start is not started', async (t) => {
  const { process: it, pids, lines } = kept('process.exit(7)')
  await until('a pause of some length', () => lines.length >= 3)
  await it.stop(10)
  t.equal(pids.length, 3)
})

t.test('one that does not want to end is killed', async (t) => {
  const program = `process.on('SIGTERM', () => console.log('no')); process.on('SIGQUIT', () => console.log('never')); console.log('up'); ${forever}`
  const { process: it, pids, printed } = kept(program)
  await until('its start', printed)
  await it.stop(0.2)
  t.equal(printed(), 'up\nno\nnever\n', 'after it was asked twice')
  t.notOk(await isAlive(pids[0]!))
})

t.test('who watches it may say that it is not to be started again', async (t) => {
  const codes: (number | null)[] = []
  const { process: it, pids } = kept('process.exit(78)', (code) => codes.push(code) < 0)
  await until('its end', () => codes.length === 1)
  await it.stop(1)
  t.strictSame([codes, pids.length], [[78], 1])
})
