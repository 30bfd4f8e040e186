import { join } from 'node:path'
import t from 'tap'
import { tryLock, waitForLock } from '../../src/platform/folder-lock.ts'
import { startNode } from '../support/processes.ts'

const root = join(import.meta.dirname, '../..')

/** A process that holds the lock until it is killed. */
function holder(t: Parameters<typeof startNode>[0], file: string) {
  const program = `
    import { tryLock } from './src/platform/folder-lock.ts'
    console.log(tryLock(${JSON.stringify(file)}) ? 'held' : 'refused')
    globalThis.gc()
    setInterval(() => globalThis.gc(), 20)`
  return startNode(t, ['--expose-gc', '--input-type=module', '-e', program], { cwd: root })
}

t.test('one at a time holds a lock', async (t) => {
  const file = join(t.testdir(), 'locks/one.lock')
  const lock = tryLock(file)
  t.ok(lock)
  t.equal(tryLock(file), null)
  t.match(await holder(t, file).line(/./), 'refused', 'another process, too')
  lock?.release()
  const again = tryLock(file)
  t.ok(again)
  lock?.release()
  t.equal(tryLock(file), null, 'releasing twice does not take it from the next')
  again?.release()
})

t.test('a process killed with -9 gives its lock back, and who waits gets it', async (t) => {
  const file = join(t.testdir(), 'one.lock')
  const { child, line } = holder(t, file)
  t.match(await line(/./), 'held')
  t.equal(await waitForLock(file, 0.2), null, 'not before')
  const waiting = waitForLock(file, 30)
  child.kill('SIGKILL')
  const lock = await waiting
  t.ok(lock)
  lock?.release()
})

t.test('a file that is not a lock is an error, not a lock that somebody holds', async (t) => {
  t.throws(() => tryLock(t.testdir()))
})
