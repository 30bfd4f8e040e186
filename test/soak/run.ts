/*
 * `npm run soak` runs all soaks one after the other, `npm run soak -- NAME [ARGUMENT…]` runs one, and `npm run soak -- list` lists them. A soak is a file in
 * this folder that begins with a comment, and that ends with 1 when it found something wrong.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { aboutFile } from '../support/about-file.ts'

const names = readdirSync(import.meta.dirname)
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'run')
const file = (name: string) => join(import.meta.dirname, `${name}.ts`)
const [name, ...args] = process.argv.slice(2)

if (name === 'list') for (const one of names) console.log(`${one.padEnd(14)} ${aboutFile(file(one))}`)
else if (name === undefined) process.exitCode = Math.max(...names.map((one) => run(one)))
else if (names.includes(name)) process.exitCode = run(name, args)
else {
  console.error(`There is no soak ${name}. There are: ${names.join(', ')}.`)
  process.exitCode = 2
}

function run(name: string, args: readonly string[] = []): number {
  console.log(`${name}: ${aboutFile(file(name))}`)
  return spawnSync(process.execPath, [file(name), ...args], { stdio: 'inherit' }).status ?? 1
}
