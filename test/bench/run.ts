/*
 * `npm run bench` lists the benches, `npm run bench -- NAME [--out FILE] [ARGUMENT…]` runs one. A bench is a file in this folder that begins with a
 * comment, measures when it is run alone, with the arguments, prints a table, and writes the same as JSON to the file that BENCH_OUT names.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { aboutFile } from '../support/about-file.ts'

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'run')
const {
  values: { out },
  positionals: [name, ...args],
} = parseArgs({ options: { out: { type: 'string' } }, allowPositionals: true })

if (name === undefined) for (const one of names) console.log(`${one.padEnd(14)} ${aboutFile(join(import.meta.dirname, `${one}.ts`))}`)
else if (names.includes(name)) process.exitCode = run(name)
else {
  console.error(`There is no bench ${name}. There are: ${names.join(', ')}.`)
  process.exitCode = 2
}

function run(name: string): number {
  const file = resolve(out ?? join(tmpdir(), `smartcrm-bench-${name}.json`))
  mkdirSync(dirname(file), { recursive: true })
  rmSync(file, { force: true })
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...args], {
    env: { ...process.env, BENCH_OUT: file },
    stdio: 'inherit',
  })
  if (existsSync(file)) console.log(`The same as JSON: ${file}`)
  return status ?? 1
}
