import t from 'tap'
import { recordingLog } from '../support/recording-log.ts'

t.test('of an error only type, message, code, stack and cause are logged', async (t) => {
  const { log, lines } = recordingLog()
  const cause = Object.assign(new TypeError('inner'), { token: 'secret' })
  const config = { headers: { authorization: 'Bearer secret' }, data: 'secret' }
  log.error({ err: Object.assign(new Error('outer', { cause }), { code: 'ECONNRESET', config, request: config, response: { config } }) })
  log.warn(Object.assign(new Error('alone'), { config }))
  log.error({ error: { config } })
  t.match(lines, [
    { err: { type: 'Error', message: 'outer', code: 'ECONNRESET', stack: /log\.test/, cause: { type: 'TypeError', message: 'inner' } } },
    { err: { type: 'Error', message: 'alone' }, msg: 'alone' },
    { error: { type: 'object' } },
  ])
  t.notMatch(JSON.stringify(lines), 'secret')
})

t.test('no key or cookie of a request is logged', async (t) => {
  const { log, lines } = recordingLog()
  const headers = {
    authorization: 'Bearer secret',
    cookie: 'secret',
    'x-api-key': 'secret',
    'proxy-authorization': 'secret',
    accept: '*/*',
  }
  const set = { 'set-cookie': ['secret'] }
  log.info({ req: { headers }, res: { headers: set }, headers, fetch: { headers }, vendor: { request: { headers } } })
  log.info(headers)
  t.notMatch(JSON.stringify(lines), 'secret')
  t.match(lines, [{ req: { headers: { accept: '*/*', authorization: '[redacted]' } } }, { accept: '*/*', authorization: '[redacted]' }])
})

t.test('the level decides', async (t) => {
  const { log, lines } = recordingLog('warn')
  log.info('too little')
  log.warn('enough')
  t.match(lines, [{ level: 40, name: 'test', msg: 'enough', time: /^\d{4}-\d\d-\d\dT/ }])
})
