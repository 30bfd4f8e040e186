import type { FastifyInstance } from 'fastify'

/** Something to be said that is no reason to turn requests away. */
export type Note = { readonly note: string }

/** One thing that the service needs: fine (null), or what is wrong with it in words. */
export type Check = () => Promise<string | Note | null>

const CHECK_MS = 2_000

/**
 * `/livez`: the process answers. `/readyz`: everything it needs is there; 503 names what is not.
 * @param checks by name; each is given 2 s
 */
export function healthRoutes(app: FastifyInstance, checks: Readonly<Record<string, Check>>): { setClosing(): void } {
  let closing = false
  const config = { open: true }
  const schema = { hide: true }

  app.get('/livez', { config, schema }, async () => ({ status: 'ok' }))

  app.get('/readyz', { config, schema }, async (_request, reply) => {
    const results = await Promise.all(Object.entries(checks).map(async ([name, check]) => [name, await bounded(check)] as const))
    const ready = !closing && results.every(([, result]) => typeof result !== 'string')
    reply.code(ready ? 200 : 503).header('cache-control', 'no-store')
    if (!ready) reply.header('retry-after', '1')
    return {
      status: closing ? 'closing' : ready ? 'ready' : 'not ready',
      checks: Object.fromEntries(results.map(([name, result]) => [name, typeof result === 'object' ? (result?.note ?? 'ok') : result])),
    }
  })

  return {
    setClosing() {
      closing = true
    },
  }
}

async function bounded(check: Check): Promise<string | Note | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${CHECK_MS / 1000} s`), CHECK_MS)
  })
  try {
    return await Promise.race([check(), late])
  } catch (error) {
    return (error as Error).message
  } finally {
    clearTimeout(timer)
  }
}
