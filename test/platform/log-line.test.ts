import { Writable } from 'node:stream'
import t from 'tap'
import { logLine } from '../../src/platform/log-line.ts'

const time = '2026-03-01T09:30:07.123Z'
const entry = (fields: object) => `${JSON.stringify({ level: 30, time, pid: 1, hostname: 'here', name: 'api', ...fields })}\n`
const clock = new Date(time).toTimeString().slice(0, 8)
/** No terminal, and so without colors. */
const plain = new Writable()

t.test('a request is one short line', async (t) => {
  const request = { reqId: 'abc', method: 'GET', route: '/v1/contacts', status: 200, ms: 7, actor: 'key:1', msg: 'request' }
  t.equal(logLine(entry(request), plain), `${clock} api         request method=GET route=/v1/contacts status=200 ms=7 actor=key:1\n`)
})

t.test('what is wrong stands out, with its causes; its stack only where something failed', async (t) => {
  const err = { type: 'Error', message: 'no answer', stack: 'Error: no answer\n    at here', cause: { type: 'Error', message: 'reset' } }
  t.equal(logLine(entry({ level: 40, err, msg: 'trying again' }), plain), `${clock} api         WARN trying again: no answer (reset)\n`)
  t.equal(
    logLine(entry({ level: 50, err, msg: 'it failed' }), plain),
    `${clock} api         ERROR it failed: no answer (reset)\nError: no answer\n    at here\n`,
  )
})

t.test('values that are none of text or number are JSON, and nothing in them can steer the terminal', async (t) => {
  const line = logLine(entry({ msg: 'up', list: [1, 2], text: 'a b', evil: '\u001b[2J\nnew line' }), plain)
  t.equal(line, `${clock} api         up list=[1,2] text="a b" evil="\\u001b[2J\\nnew line"\n`)
  t.notMatch(logLine(entry({ msg: '\u001b[2J' }), plain), '\u001b')
})

t.test('what is no entry of the log stays as it is', async (t) => {
  t.equal(logLine('no JSON\n', plain), 'no JSON\n')
})
