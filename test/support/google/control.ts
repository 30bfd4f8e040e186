import type { IncomingMessage, ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import type { Controls } from './controls.ts'
import { type FaultRule, faultNames } from './faults.ts'
import type { PushTokenOptions } from './push.ts'
import type { QuotaOptions } from './quota.ts'

/*
 * The controls over HTTP, for a Google in a process of its own, under paths that the real one does not have.
 */
type Asked = { body: never; query: URLSearchParams; ids: readonly string[] }

const doors: [string, RegExp, (controls: Controls, asked: Asked) => unknown][] = [
  ['GET', /^clock$/, ({ clock }) => ({ now: clock.now(), speed: clock.speed })],
  [
    'POST',
    /^clock$/,
    ({ clock }, { body }) => {
      const { now, speed, advanceSeconds } = body as { now?: number; speed?: number; advanceSeconds?: number }
      if (now !== undefined) clock.set(now)
      if (speed !== undefined) clock.setSpeed(speed)
      if (advanceSeconds !== undefined) clock.advance(advanceSeconds)
      return { now: clock.now(), speed: clock.speed }
    },
  ],
  ['GET', /^faults$/, ({ faults }) => faults.list()],
  [
    'POST',
    /^faults$/,
    ({ faults }, { body }) => {
      const rules = [body].flat() as FaultRule[]
      const unknown = rules.find(({ fault }) => !faultNames.includes(fault))
      if (unknown) throw new Error(`there is no fault ${unknown.fault}, only ${faultNames.join(', ')}`)
      faults.add(...rules)
      return faults.list()
    },
  ],
  ['DELETE', /^faults$/, ({ faults }) => faults.clear()],
  ['POST', /^quirks$/, ({ quirks }, { body }) => Object.assign(quirks, body)],
  ['POST', /^quota$/, ({ quota }, { body }) => quota.set(body as QuotaOptions)],
  ['GET', /^quota\/([^/]+)$/, ({ quota }, { ids, query }) => quota.account(ids[0]!, instantOf(query, 'from'), instantOf(query, 'to'))],
  ['GET', /^requests$/, ({ seen }) => seen],
  ['GET', /^pushed$/, ({ pushed }) => pushed],
  ['POST', /^push-token$/, ({ pushToken }, { body }) => ({ token: pushToken(body as PushTokenOptions) })],
  ['POST', /^expire-page-tokens$/, ({ expirePageTokens }) => expirePageTokens()],
  ['GET', /^accounts$/, ({ addresses }) => addresses()],
  ['GET', /^accounts\/([^/]+)\/messages$/, (controls, { ids }) => controls.mailbox(ids[0]!).all()],
  [
    'POST',
    /^accounts\/([^/]+)\/messages$/,
    (controls, { ids, body }) => {
      const { raw, ...message } = body as { raw: string }
      return controls.add(ids[0]!, { ...message, raw: Buffer.from(raw, 'base64url') })
    },
  ],
  ['DELETE', /^accounts\/([^/]+)\/messages\/(\w+)$/, (controls, { ids }) => controls.remove(ids[0]!, ids[1]!)],
  ['PATCH', /^accounts\/([^/]+)\/messages\/(\w+)$/, (controls, { ids, body }) => controls.relabel(ids[0]!, ids[1]!, body)],
  ['POST', /^accounts\/([^/]+)\/expire-history$/, (controls, { ids }) => controls.expireHistory(ids[0]!)],
  ['POST', /^accounts\/([^/]+)\/revoke$/, (controls, { ids }) => controls.revokeConsent(ids[0]!)],
  ['PUT', /^accounts\/([^/]+)\/grants$/, (controls, { ids, body }) => controls.setGrants(ids[0]!, body)],
  ['PUT', /^accounts\/([^/]+)\/only-messages$/, (controls, { ids, body }) => controls.mailbox(ids[0]!).setOnlyMessagesShare(body)],
]

/** Carries out what is asked for at the control door. Its own errors are a sentence, with 400. */
export async function answerControl(controls: Controls, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams: query } = new URL(request.url!, 'http://google')
  const path = pathname.slice('/_control/'.length)
  const door = doors.find(([method, pattern]) => method === request.method && pattern.test(path))
  try {
    if (!door) throw new Error(`there is no control ${request.method} ${path}`)
    const body = (Number(request.headers['content-length']) > 0 || request.headers['transfer-encoding'] ? await json(request) : {}) as never
    const ids = [...door[1].exec(path)!].slice(1).map(decodeURIComponent)
    const answer = JSON.stringify(door[2](controls, { body, query, ids }) ?? {})
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(answer)
  } catch (error) {
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: (error as Error).message }))
  }
}

const instantOf = (query: URLSearchParams, name: string) => (query.has(name) ? Number(query.get(name)) : undefined)
