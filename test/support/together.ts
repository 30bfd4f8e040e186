import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import root, { type Test } from 'tap'

const project = join(import.meta.dirname, '../..')
const addressOf = (file: string) => pathToFileURL(join(project, file)).href

/** What each file has for its `import t from 'tap'`. */
const own = new Map<string, Test>()

/** @param address of a test file @returns its `t` */
export const ownTest = (address: string): Test | undefined => own.get(address)

/**
 * Runs test files one after the other in this process, so that the service's code is read and made fast once for all of them, not once a file. Each is a test
 * of its own: what it tears down is gone before the next begins, and how long it may take is its own.
 * @param files relative to the project
 */
export function runTogether(files: readonly string[]): void {
  registerHooks({
    resolve: (name, context, next) =>
      name === 'tap' && own.has(context.parentURL ?? '') ? { url: `tap-of:${context.parentURL}`, shortCircuit: true } : next(name, context),
    load: (url, context, next) =>
      url.startsWith('tap-of:')
        ? { format: 'module', source: sourceOf(url.slice('tap-of:'.length)), shortCircuit: true }
        : next(url, context),
  })
  const milliseconds = Number(process.env['TAP_TIMEOUT'] ?? 300) * 1000
  root.setTimeout(0)
  for (const file of files) {
    root.test(file, { timeout: milliseconds }, async (t) => {
      own.set(addressOf(file), t)
      await import(addressOf(file))
    })
  }
}

const sourceOf = (address: string) => `
import { ownTest } from ${JSON.stringify(import.meta.url)}
export default ownTest(${JSON.stringify(address)})
`
