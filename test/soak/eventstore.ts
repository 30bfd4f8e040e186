/** The long form of the event node's tests: fifty kills, two thousand histories. Some minutes: `npm run soak -- eventstore`. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const runs: [file: string, settings: Record<string, string>][] = [
  ['durability.test.ts', { EVENTSTORE_KILLS: '50' }],
  ['model.test.ts', { EVENTSTORE_MODEL_RUNS: '2000' }],
]
for (const [file, settings] of runs) {
  const env = { ...process.env, TAP_TIMEOUT: '3600', ...settings }
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, `../eventstore/${file}`)], { env, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
