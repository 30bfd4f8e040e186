import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { folderFault, openDataFolder } from '../src/data-folder.ts'
import { roleProcesses } from '../src/role-processes.ts'
import type { Role } from '../src/roles/role.ts'
import { isAlive, startNode, until } from './support/processes.ts'
import { recordingLog } from './support/recording-log.ts'

const program = join(import.meta.dirname, 'support/fixture-role.ts')
const all: Role[] = ['postgres', 'eventstore', 'api', 'projector', 'worker']

/** The roles of the fixture, and what they have written. */
function fixture(t: Test, settings: NodeJS.ProcessEnv = {}) {
  const FILE = join(t.testdir({ said: '' }), 'said')
  const env: NodeJS.ProcessEnv = { ...process.env, ...settings, FILE }
  const heard: string[] = []
  const { log, lines } = recordingLog<{ msg: string }>()
  const onApiKey = (key: string) => heard.push(`key ${key}`)
  const onFault = (sentence: string) => heard.push(sentence)
  const processes = roleProcesses({ env, log, program, onApiKey, onFault })
  t.teardown(() => processes.stop())
  const said = async () => (await readFile(FILE, 'utf8')).split('\n').filter(Boolean)
  const pids = async (role: string) =>
    (await said()).flatMap((line) => new RegExp(`^${role} started (\\d+)`).exec(line)?.[1] ?? []).map(Number)
  return { processes, env, heard, lines, said, pids }
}

t.test('a role says its address when it is up', async (t) => {
  const { processes, heard } = fixture(t, { KEY: 'api' })
  t.equal(await processes.keep('eventstore'), 'eventstore://here')
  t.equal(await processes.keep('api'), 'api://here')
  t.strictSame(heard, ['key the-key'], 'and before that the API key, if it made one')
})

t.test('a role that is killed is started again, with the settings of then', async (t) => {
  const { processes, env, said, pids, lines } = fixture(t)
  await processes.keep('eventstore')
  env['ADDRESS'] = 'esdb://known-by-now'
  process.kill((await pids('eventstore'))[0]!, 'SIGKILL')
  await until('another one', async () => (await pids('eventstore'))[1])
  t.match(await said(), [/ with none$/, / with esdb:\/\/known-by-now$/])
  t.match(lines, [{ role: 'eventstore', signal: 'SIGKILL', msg: 'eventstore ended and is started again' }])
})

t.test('those who write end before what they write to', async (t) => {
  const { processes, said } = fixture(t)
  await Promise.all(all.map(processes.keep))
  await processes.stop()
  const ended = (await said()).flatMap((line) => /^(\w+) ended$/.exec(line)?.[1] ?? [])
  t.strictSame(ended.slice(0, 3).sort(), ['api', 'projector', 'worker'])
  t.strictSame(ended.slice(3), ['eventstore', 'postgres'])
})

t.test('all can be ended at once, even those that would not', async (t) => {
  const { processes, said, pids } = fixture(t, { STUBBORN: 'api' })
  await Promise.all(all.map(processes.keep))
  const running = (await Promise.all(all.map(pids))).flat()
  void processes.stop()
  await until('the others that write to have ended', async () => (await said()).filter((line) => line.endsWith('ended')).length === 2)
  processes.kill()
  await until('the end of all', async () => !(await Promise.all(running.map(isAlive))).includes(true))
  t.equal(running.length, all.length)
})

t.test('a role with a fault is not started again, and says its sentence', async (t) => {
  const { processes, heard, lines } = fixture(t, { FAULTY: 'api' })
  void processes.keep('api')
  await processes.keep('worker')
  await until('the sentence', () => heard.length > 0)
  await processes.stop()
  t.strictSame(heard, ['api has a fault.'])
  t.strictSame(lines, [], 'no restart is logged')
})

t.test('the roles of a supervisor that is killed notice; its Ctrl-C does not reach them', async (t) => {
  const FILE = join(t.testdir({ said: '' }), 'said')
  const supervisor = `
    import { roleProcesses } from './src/role-processes.ts'
    import { createLogger } from './src/platform/log.ts'
    process.on('SIGINT', () => console.log('interrupted'))
    const processes = roleProcesses({ env: process.env, log: createLogger('silent', 'test'), program: ${JSON.stringify(program)} })
    await Promise.all([processes.keep('api'), processes.keep('eventstore')])
    console.log('up')`
  const cwd = join(import.meta.dirname, '..')
  const { child, line } = startNode(t, ['--input-type=module', '-e', supervisor], { cwd, detached: true, env: { ...process.env, FILE } })
  await line(/^up$/)
  process.kill(-child.pid!, 'SIGINT')
  await line(/^interrupted$/)
  child.kill('SIGKILL')
  const said = await until('both to notice', async () => {
    const text = await readFile(FILE, 'utf8')
    return /api is alone/.test(text) && /eventstore is alone/.test(text) && text
  })
  t.notMatch(said, 'SIGINT')
})

t.test('a data folder is made, and found again', async (t) => {
  const folder = join(t.testdir(), 'deep/data')
  await openDataFolder(folder)
  await openDataFolder(folder)
  t.equal(await readFile(join(folder, 'version'), 'utf8'), '1\n')
})

t.test('data of a newer version is one sentence', async (t) => {
  const folder = t.testdir({ version: '2\n' })
  await t.rejects(openDataFolder(folder), {
    name: 'Fault',
    message: `The data in ${folder} is of a newer SmartCRM (version 2, this one knows up to 1): start that one, or set SMARTCRM_DATA to another folder.`,
  })
  await writeFile(join(folder, 'version'), 'what is this\n')
  await t.rejects(openDataFolder(folder), { name: 'Fault' })
})

t.test('a data folder that cannot be used is one sentence', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file')
  await t.rejects(openDataFolder(file), {
    name: 'Fault',
    message: `The data folder ${file} is not a folder: set SMARTCRM_DATA to a folder that can be written.`,
  })
  t.match(folderFault({ code: 'ENOSPC' }, '/data')?.message, 'The disk that holds /data is full: make room there, then start again.')
  t.match(folderFault({ code: 'ERR_SQLITE_ERROR', errcode: 13 }, '/data')?.message, /is full/)
  t.match(folderFault({ code: 'EROFS' }, '/data')?.message, /can only be read/)
  t.equal(folderFault(new Error('else'), '/data'), null)
  if (process.getuid?.() === 0) return t.comment('root may use every folder')
  const closed = t.testdir({ closed: {} })
  await mkdir(join(closed, 'x'), { mode: 0o500 })
  await chmod(join(closed, 'x'), 0o500)
  await t.rejects(openDataFolder(join(closed, 'x')), { name: 'Fault', message: /may not be used by this user/ })
})
