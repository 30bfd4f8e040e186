import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type { Caller } from '../api-keys.ts'
import { Refused } from '../refusal.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The permission that it takes. Every route has one, or is `open`. */
    needs?: string
  }
}

/** What is said of an address at which there is nothing, and of one that the caller may not see. */
export const nothingHere = () => new Refused('not-found', 'There is nothing at this address. See /reference for what there is.', 404)

/**
 * Gives every route that is added from now on the permission that it takes.
 * @param access by operationId, or by address where a route has none
 * @throws Error (when the server gets ready, so that it does not start) naming each route that is neither in there nor open: none can be forgotten
 */
export function askForPermissions(app: FastifyInstance, access: Readonly<Record<string, string>>): void {
  const unnamed: RouteOptions[] = []
  app.addHook('onRoute', (route) => {
    const { operationId } = (route.schema ?? {}) as { operationId?: string }
    const name = operationId ?? route.url
    const needs = Object.hasOwn(access, name) ? access[name] : undefined
    // Nothing is done by it; CORS answers it.
    if (route.method === 'OPTIONS') return
    if (needs === undefined) unnamed.push(route)
    else route.config = { ...route.config, needs }
  })
  app.addHook('onReady', async () => {
    const forgotten = unnamed.filter(({ config }) => !config?.open).map(({ method, url }) => `${String(method)} ${url}`)
    if (forgotten.length > 0) throw new Error(`Nothing says who may do this: ${forgotten.join(', ')}.`)
  })
}

/**
 * Refuses what the caller may not do. To whom the thing itself may not be shown it is not there (404); who may see it and not change it is told what he
 * lacks (403). What is seen by `contacts:read` is changed by any other permission of `contacts`.
 * @throws Refused
 */
export function checkPermission({ permissions }: Caller, { routeOptions }: FastifyRequest): void {
  const { needs } = routeOptions.config
  // Where there is no such route, the answer is that there is none.
  if (needs === undefined || permissions.has(needs)) return
  const [noun] = needs.split(':')
  if (!permissions.has(`${noun}:read`)) throw nothingHere()
  throw lacking([needs])
}

export const lacking = (needs: readonly string[]) =>
  new Refused('permission-needed', `This key lacks the permission ${needs.join(', ')}.`, 403, { permissions: needs })
