/*
 * Imported before a test file, by run.ts. tap finds out which test an error belongs to that nobody caught by following every promise of the process with
 * async hooks, which takes a fifth of the processor time of a run. Our tests run one after the other, so it belongs to the one that began last.
 */
import { type AsyncResource, executionAsyncResource } from 'node:async_hooks'
import { registerHooks } from 'node:module'

/** Of those that are not over: the file's comes first. */
const made: Domain[] = []
const begun: Domain[] = []

/** What tap has of the package that is replaced: made with each test, in the resource in which the test will run. */
class Domain {
  readonly onerror: (error: unknown, type: string) => void
  constructor(onerror: (error: unknown, type: string) => void) {
    this.onerror = onerror
    made.push(this)
    const resource = executionAsyncResource() as Partial<Pick<AsyncResource, 'runInAsyncScope'>>
    const run = resource.runInAsyncScope
    if (run)
      resource.runInAsyncScope = (work, ...more) => {
        if (!begun.includes(this) && made.includes(this)) begun.push(this)
        return run.call(resource, work as never, ...more) as never
      }
    listen()
  }
  destroy(): void {
    for (const list of [made, begun]) if (list.includes(this)) list.splice(list.indexOf(this), 1)
  }
}

let listens = false
function listen(): void {
  if (listens) return
  listens = true
  for (const type of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(type, (error: unknown) => {
      // A test that listens itself is to see to it.
      if (process.listenerCount(type) > 1) return
      const domain = begun.at(-1) ?? made[0]
      if (!domain) throw error
      domain.onerror(error, type)
    })
}

const address = 'smartcrm:one-domain'
Object.assign(globalThis, { [address]: Domain })
registerHooks({
  resolve: (name, context, next) => (name === 'async-hook-domain' ? { url: address, shortCircuit: true } : next(name, context)),
  load: (url, context, next) =>
    url === address
      ? { format: 'module', source: `export const Domain = globalThis['${address}']`, shortCircuit: true }
      : next(url, context),
})
