/** Sends 100,000 malformed requests, made from the OpenAPI, to the whole service: none may be a 5xx. `npm run soak -- malformed [--count 100000] [--seed N]`. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { count, seed } = parseArgs({ options: { count: { type: 'string', default: '100000' }, seed: { type: 'string' } } }).values
const root = join(import.meta.dirname, '../..')
// The same as in `npm test`, only more of it.
const { status } = spawnSync(
  process.execPath,
  [join(root, 'test/support/run.ts'), 'test/http/malformed.test.ts', '--reporter=tap', '--timeout=3600'],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, MALFORMED: count, ...(seed && { SEED: seed }) },
  },
)
process.exitCode = status ?? 1
