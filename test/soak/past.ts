/**
 * A random history, and everything that can be asked at many moments of it; afterwards the same is asked as of these moments, and has to be answered the
 * same. Arguments, with what they are unless given: commands=5000 moments=200 seed=1
 */
import t from 'tap'
import { createLogger } from '../../src/platform/log.ts'
import { run as runWorker } from '../../src/roles/worker.ts'
import { testApi } from '../support/api.ts'
import { comparePast } from '../support/past-answers.ts'

const given = Object.fromEntries(process.argv.slice(2).map((argument) => argument.split('=') as [string, string]))
const { commands = '5000', moments = '200', seed = '1' } = given

const inSeconds = (ms: number) => Math.round(ms / 1_000)

t.setTimeout(24 * 3_600_000)
t.test('every question asked as of a moment is answered as it was then', async (t) => {
  const api = await testApi(t)
  const worker = await runWorker(api.config, createLogger('silent', 'soak'))
  t.teardown(worker.close)
  const steps = Math.ceil(Number(commands) / Number(moments))
  const began = performance.now()
  const tell = (what: string) => {
    const { user, system } = process.cpuUsage()
    t.comment(`${inSeconds(performance.now() - began)} s, ${inSeconds((user + system) / 1e3)} s of processor: ${what}`)
  }
  const { compared, differences } = await comparePast(api, { seed: Number(seed), moments: Number(moments), steps, tell })
  t.strictSame(differences, [], `${compared} answers`)
})
