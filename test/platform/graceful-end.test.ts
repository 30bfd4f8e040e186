import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startNode, until } from '../support/processes.ts'

/** A process that ends gracefully, as `options` say; `then` is what it does when it is up. */
function program(t: Test, options: string, then = '') {
  const code = `
    import { setTimeout as delay } from 'node:timers/promises'
    import { endGracefully } from './src/platform/graceful-end.ts'
    import { createLogger } from './src/platform/log.ts'
    const forever = setInterval(() => {}, 1000)
    const { end } = endGracefully({ log: createLogger('info', 'test'), timeoutSeconds: 30, ${options} })
    console.log('up')
    ${then}`
  return startNode(t, ['--input-type=module', '-e', code], { cwd: join(import.meta.dirname, '../..') })
}

// The log is written on a way of its own: where its lines come between the others is chance.
const printed = (lines: string[]) => lines.filter((line) => !line.startsWith('{'))
const logged = (lines: string[]) => lines.filter((line) => line.startsWith('{')).join('\n')

const closing = `close: async () => { console.log('closing'); await delay(10); console.log('closed') }`
const hanging = `close: () => { console.log('closing'); return new Promise(() => {}) }, atOnce: () => console.log('at once')`

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  t.test(`${signal} ends it in good order`, async (t) => {
    const { child, line, lines, ended } = program(t, closing)
    await line(/up/)
    child.kill(signal)
    t.equal(await ended, 0)
    t.strictSame(lines, ['up', 'closing', 'closed'])
  })
}

t.test('a signal that comes twice at once, as through npm, is one; a later second one ends it at once', async (t) => {
  const { child, line, lines, ended } = program(t, hanging)
  await line(/up/)
  const firstAt = performance.now()
  let echoes = 0
  const sending = setInterval(() => {
    if (performance.now() - firstAt < 800) echoes++
    child.kill('SIGINT')
  }, 50)
  t.teardown(() => clearInterval(sending))
  t.equal(await ended, 130)
  t.ok(echoes > 1, 'the echoes did not end it')
  t.strictSame(lines, ['up', 'closing', 'at once'])
})

t.test('what takes too long is broken off', async (t) => {
  const { child, line, lines, ended } = program(t, `${hanging}, timeoutSeconds: 0.1`)
  await line(/up/)
  child.kill('SIGTERM')
  t.equal(await ended, 1)
  t.strictSame(printed(lines), ['up', 'closing', 'at once'])
  t.match(logged(lines), /ending took longer than 0.1 s/)
})

t.test('an error that nobody caught is logged, and ends it with 1', async (t) => {
  const { lines, ended } = program(t, closing, `void Promise.reject(new Error('nobody caught this'))`)
  t.equal(await ended, 1)
  t.strictSame(printed(lines), ['up', 'closing', 'closed'])
  t.match(logged(lines), /nobody caught this/)
})

t.test('it can be told to end, with an exit code, once', async (t) => {
  const { lines, ended } = program(t, closing, 'end(3); end(4)')
  t.equal(await ended, 3)
  t.strictSame(lines, ['up', 'closing', 'closed'])
})

t.test('an end that fails is not a good one', async (t) => {
  const { lines, ended } = program(t, `close: async () => { throw new Error('cannot close') }`, 'end()')
  t.equal(await ended, 1)
  t.match(logged(lines), /cannot close/)
})

t.test('it ends with the shell that started it, if it is told to', async (t) => {
  const code = `
    import { endGracefully } from './src/platform/graceful-end.ts'
    import { createLogger } from './src/platform/log.ts'
    setInterval(() => {}, 1000)
    const log = createLogger('info', 'test')
    endGracefully({ log, timeoutSeconds: 30, withParent: true, close: async () => console.log('closed') })
    console.log('up')`
  // The shell waits for a program in the background, as npm's does for its last one; killing the shell leaves the program alone.
  const shell = spawn('sh', ['-c', '"$0" --input-type=module -e "$1" & wait', process.execPath, code], {
    cwd: join(import.meta.dirname, '../..'),
  })
  let output = ''
  shell.stdout.on('data', (text) => (output += text))
  await until('its start', () => output.includes('up'))
  shell.kill('SIGKILL')
  await until('its end', () => output.includes('closed'))
  t.equal(output, 'up\nclosed\n')
})
