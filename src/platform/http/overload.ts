import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Refused } from '../refusal.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What of the process's work this request is. */
    work: Work
  }
  interface FastifyContextConfig {
    /** It may take long without anything being amiss: it says nothing of how busy the process is. */
    unhurried?: boolean
  }
}

export type Work = {
  /** It waits, or sends at the pace of somebody else: while that is so it counts for nothing. */
  leave(): void
  /** It has something to do again. */
  rejoin(): void
  /** It is answered. */
  end(): void
}
const NO_WORK: Work = { leave() {}, rejoin() {}, end() {} }

/** When answers take longer than that on average, less is taken on at once; when they take half, more. */
const TARGET_MS = 300
const LOOK_EVERY_MS = 200
const LEAST_AT_ONCE = 8
const MOST_AT_ONCE = 256

/** How many were turned away, and how many are let in at once just now. */
export type Overload = { readonly shed: () => number; readonly atOnce: () => number }

/**
 * Turns requests away (503, at once) when the process has as much to do as it can answer in time, before their body is read: so those that it takes are
 * answered soon, whatever comes. How many it takes at once follows from how long they take.
 */
export function shedLoad(app: FastifyInstance, most = MOST_AT_ONCE, targetMs = TARGET_MS): Overload {
  let atOnce = most
  let running = 0
  let shed = 0
  let seen = { count: 0, sumMs: 0, isFull: false, since: performance.now() }

  const look = (now: number) => {
    if (now - seen.since < LOOK_EVERY_MS || seen.count === 0) return
    const meanMs = seen.sumMs / seen.count
    if (meanMs > targetMs) atOnce = Math.max(Math.min(LEAST_AT_ONCE, most), Math.floor(atOnce * 0.7))
    else if (meanMs < targetMs / 2 || !seen.isFull) atOnce = Math.min(most, Math.ceil(atOnce * 1.1))
    seen = { count: 0, sumMs: 0, isFull: false, since: now }
  }
  const turnAwayIfFull = () => {
    if (running < atOnce) return
    seen.isFull = true
    shed += 1
    throw new Refused('overloaded', 'The service has as much to do as it can. Try again.', 503, {}, 1)
  }

  app.decorateRequest('work')
  app.addHook('onRequest', async (request) => {
    request.work = NO_WORK
    if (!request.routeOptions.config.open) turnAwayIfFull()
  })
  // By now its body is here: whoever sends one slowly takes nobody's place.
  app.addHook('preValidation', async (request: FastifyRequest) => {
    const { open, unhurried } = request.routeOptions.config
    if (open) return
    turnAwayIfFull()
    running += 1
    let since = performance.now()
    let isIn = true
    let workedMs = 0
    request.work = {
      leave() {
        if (!isIn) return
        isIn = false
        running -= 1
        workedMs += performance.now() - since
      },
      rejoin() {
        if (isIn) return
        isIn = true
        running += 1
        since = performance.now()
      },
      end() {
        this.leave()
        if (unhurried) return
        seen.count += 1
        seen.sumMs += workedMs
        look(performance.now())
      },
    }
  })
  app.addHook('onSend', async (request, _reply, payload) => {
    if (payload !== null && typeof payload === 'object' && 'pipe' in payload) request.work.leave()
  })
  app.addHook('onResponse', async (request) => request.work.end())
  return { shed: () => shed, atOnce: () => atOnce }
}
