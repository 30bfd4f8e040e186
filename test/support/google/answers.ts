import type { ServerResponse } from 'node:http'
import { GoogleError, OAuthError } from './errors.ts'
import type { Break } from './faults.ts'
import type { BrowserAnswer } from './oauth.ts'

/** What is not an answer, or only the half of one. */
export class Broken extends Error {
  how: Break
  answer: unknown
  constructor(how: Break, answer?: unknown) {
    super(how)
    this.how = how
    this.answer = answer
  }
}

export function breakOff(response: ServerResponse, { how, answer }: Broken): void {
  if (how === 'reset') response.socket?.destroy()
  else if (how === 'cut') {
    const body = Buffer.from(JSON.stringify(answer) ?? '{"a":"whole"}')
    response.writeHead(200, { 'content-type': 'application/json; charset=UTF-8', 'content-length': body.length })
    response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.socket?.destroy())
  } else if (how === 'badGateway') {
    // Google's front ends do not speak JSON.
    response.writeHead(502, { 'content-type': 'text/html; charset=UTF-8' })
    response.end('<!DOCTYPE html><html lang=en><title>Error 502 (Server Error)!!1</title><p><b>502.</b> That’s an error.</html>')
  }
}

export function show(response: ServerResponse, answer: BrowserAnswer): void {
  if ('location' in answer) {
    response.writeHead(302, { location: answer.location })
    response.end()
    return
  }
  response.writeHead(answer.status, { 'content-type': 'text/html; charset=utf-8' })
  response.end(answer.page)
}

export function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  if (body === undefined) {
    response.writeHead(status, headers)
    response.end()
    return
  }
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8', 'content-length': bytes.length, ...headers })
  response.end(bytes)
}

export const statusOf = (error: unknown) => (error instanceof GoogleError || error instanceof OAuthError ? error.code : 500)

/** Answers with an error of Google's. Any other is a fault of the simulator itself, which whoever runs a test has to see. */
export function fail(response: ServerResponse, error: unknown): void {
  if (error instanceof GoogleError) send(response, error.code, error.body(), error.headers)
  else if (error instanceof OAuthError) send(response, error.code, error.body())
  else {
    console.error(error)
    if (!response.headersSent) send(response, 500, { simulatorFault: `${(error as Error).stack}` })
  }
}
