/** Asks the service for four times what it can answer: who keeps to his limit is answered in time, and nobody wrongly. `npm run soak -- overload [--seconds 20]`. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { seconds } = parseArgs({ options: { seconds: { type: 'string', default: '20' } } }).values
const root = join(import.meta.dirname, '../..')
const { status } = spawnSync(
  process.execPath,
  [join(root, 'test/support/run.ts'), 'test/http/overload.test.ts', '--reporter=tap', '--timeout=600'],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, OVERLOAD_SECONDS: seconds },
  },
)
process.exitCode = status ?? 1
