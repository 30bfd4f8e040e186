import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Doorkeeper, refusedFor, type TurnedAway } from './door.ts'

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
/** So many times that they may take now and then, when tables are switched or a large statement goes by: then it is over before anybody notices. */
const PATIENCE = 3
const LOOK_EVERY_MS = 200
const LEAST_AT_ONCE = 8
const MOST_AT_ONCE = 256
/**
 * What it begins with, and comes back to while less is asked for: what it can bear then is not known, and learned from answers, which come late when it is
 * too much. So many are not too many for long.
 */
const AT_ONCE_AT_FIRST = 64
/** How often the process looks whether it still comes to its timers. */
const TICK_MS = 50

/** Who turns away what is too much, how many that were, and how many of each kind are let in at once just now. */
export type Overload = {
  readonly keeper: Doorkeeper
  readonly shed: () => number
  readonly atOnce: () => Readonly<Record<'questions' | 'commands', number>>
}

const OVERLOADED: TurnedAway = {
  status: 503,
  code: 'overloaded',
  detail: 'The service has as much to do as it can. Try again.',
  retryAfterSeconds: 1,
}

/** So many requests at once as are answered in time: those of one kind, which wait for the same things. */
function createLane(most: number, targetMs: number) {
  const atFirst = Math.min(most, AT_ONCE_AT_FIRST)
  let atOnce = atFirst
  let running = 0
  /** The sum of the times at which those that run began: their mean age tells that it is too much before any of them is answered. */
  let begins = 0
  let seen = { count: 0, sumMs: 0, isFull: false, since: performance.now() }

  const look = (now: number) => {
    if (now - seen.since < LOOK_EVERY_MS || seen.count === 0) return
    const meanMs = seen.sumMs / seen.count
    if (meanMs > targetMs) atOnce = Math.max(Math.min(LEAST_AT_ONCE, most), Math.floor(atOnce * 0.7))
    else if (seen.isFull && meanMs < targetMs / 2) atOnce = Math.min(most, Math.ceil(atOnce * 1.1))
    else if (!seen.isFull)
      atOnce = atOnce < atFirst ? Math.min(atFirst, Math.ceil(atOnce * 1.1)) : Math.max(atFirst, Math.floor(atOnce * 0.9))
    seen = { count: 0, sumMs: 0, isFull: false, since: now }
  }
  return {
    atOnce: () => atOnce,
    /** @param lagMs how late the process comes to its own timers: what waits to be read is not among those that run. */
    isFull(lagMs: number): boolean {
      // A few are never too many.
      const isLate = running >= LEAST_AT_ONCE && Math.max(performance.now() - begins / running, lagMs) > PATIENCE * targetMs
      const isFull = running >= atOnce || isLate
      seen.isFull ||= isFull
      return isFull
    },
    begin(since: number) {
      running += 1
      begins += since
    },
    pause(since: number) {
      running -= 1
      begins -= since
    },
    answered(workedMs: number) {
      seen.count += 1
      seen.sumMs += workedMs
      look(performance.now())
    },
  }
}

/**
 * Turns requests away (503, at once) when the process has as much to do as it can answer in time, at the door and again when their body is here: so those
 * that it takes are answered soon, whatever comes. How many it takes at once follows from how long they take. Questions and commands are counted apart: the
 * one goes on while the log is away, for which the other waits.
 */
export function shedLoad(app: FastifyInstance, most = MOST_AT_ONCE, targetMs = TARGET_MS): Overload {
  const lanes = { questions: createLane(most, targetMs), commands: createLane(most, targetMs) }
  const laneOf = ({ method }: { method?: string }) => (method === 'GET' || method === 'HEAD' ? lanes.questions : lanes.commands)
  let shed = 0
  const keeper: Doorkeeper = (request) => {
    if (!laneOf(request).isFull(lagMs)) return null
    shed += 1
    return OVERLOADED
  }

  let lagMs = 0
  let tickedAt = performance.now()
  const ticking = setInterval(() => {
    const now = performance.now()
    lagMs = Math.max(0, now - tickedAt - TICK_MS)
    tickedAt = now
  }, TICK_MS).unref()
  app.addHook('onClose', async () => clearInterval(ticking))

  app.decorateRequest('work')
  app.addHook('onRequest', async (request) => {
    request.work = NO_WORK
  })
  // By now its body is here: whoever sends one slowly takes nobody's place.
  app.addHook('preValidation', async (request: FastifyRequest, reply) => {
    const { open, unhurried } = request.routeOptions.config
    if (open) return
    const turnedAway = keeper(request.raw)
    if (turnedAway) throw refusedFor(turnedAway)
    const lane = laneOf(request)
    let since = performance.now()
    lane.begin(since)
    let isIn = true
    let workedMs = 0
    request.work = {
      leave() {
        if (!isIn) return
        isIn = false
        lane.pause(since)
        workedMs += performance.now() - since
      },
      rejoin() {
        if (isIn) return
        isIn = true
        since = performance.now()
        lane.begin(since)
      },
      end() {
        this.leave()
        // What waited in vain for something that is away says nothing of how much there is to do.
        if (!unhurried && reply.statusCode !== 503) lane.answered(workedMs)
      },
    }
    const { raw } = reply
    // Also when who asked has left since: then no hook is called. Before the answer, what he asked for still goes on.
    raw.once('close', () => {
      if (raw.writableEnded) request.work.end()
    })
  })
  app.addHook('onSend', async (request, reply, payload) => {
    // Nobody is there any more to be answered.
    if (reply.raw.destroyed) request.work.end()
    else if (payload !== null && typeof payload === 'object' && 'pipe' in payload) request.work.leave()
  })
  return { keeper, shed: () => shed, atOnce: () => ({ questions: lanes.questions.atOnce(), commands: lanes.commands.atOnce() }) }
}
