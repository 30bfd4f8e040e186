#!/usr/bin/env node
/*
 * The command `smartcrm`. It is JavaScript, because whichever Node the machine has reads it; main.ts needs the Node that comes with the
 * project. Below npm and npx that one is found first anyway, and nothing is handed over.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'

const [major] = process.versions.node.split('.')

if (!existsSync(join(import.meta.dirname, 'main.ts'))) {
  console.error('This package holds smartcrm/consumer alone. Run the service from a checkout of SmartCRM, or from its container image.')
  process.exit(1)
}
if (Number(major) >= 24) {
  // As the roles do (role-processes.ts): half of what a short command takes is reading the code.
  module.enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/smartcrm'))
  await import('./main.ts')
} else handOver()

function handOver() {
  const node = join(dirname(module.createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node')
  if (!existsSync(node)) {
    console.error('The Node that SmartCRM runs on is missing: run npm ci in its folder again.')
    process.exit(1)
  }
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}
