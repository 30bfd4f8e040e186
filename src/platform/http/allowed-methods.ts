import type { FastifyInstance } from 'fastify'

/**
 * Learns every route that is added from now on.
 * @returns which methods an address takes, for 405 and `Allow` (RFC 9110 §15.5.6); none: there is nothing at it
 */
export function allowedMethods(app: FastifyInstance): (url: string) => string[] {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(`^${url.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll(/:\w+/g, '[^/]+')}$`)
    const { methods } = routes.get(url) ?? { methods: new Set<string>() }
    for (const name of [method].flat()) methods.add(name)
    routes.set(url, { pattern, methods })
  })
  return (url) => {
    const path = url.split('?')[0]!
    const found = [...routes.values()].filter(({ pattern }) => pattern.test(path))
    return [...new Set(found.flatMap(({ methods }) => [...methods]))].sort()
  }
}
