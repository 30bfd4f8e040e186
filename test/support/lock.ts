import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { faultsOf, lockOf, readSources, textOf } from './projection-lock.ts'

/*
 * `npm run lock`: writes down the versions of the projections and what they are made of, in projections/lock.json. `npm run check` (`--check`) tells where
 * that is no longer so. `--same-rows` says of what changed without a new version that it makes the same rows.
 */
const { check, 'same-rows': sameRows } = parseArgs({
  options: { check: { type: 'boolean', default: false }, 'same-rows': { type: 'boolean', default: false } },
}).values
const file = join(import.meta.dirname, '../../projections/lock.json')
const text = readFileSync(file, 'utf8')
const now = lockOf(readSources())
const faults = faultsOf(JSON.parse(text), now, { sameRows })
if (check && faults.length === 0 && text !== textOf(now)) faults.push('projections/lock.json is not up to date. Run `npm run lock`.')

if (faults.length > 0) {
  console.error(faults.join('\n'))
  process.exitCode = 1
} else if (!check) {
  writeFileSync(file, textOf(now))
}
