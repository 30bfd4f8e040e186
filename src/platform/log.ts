import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'

import { logLine } from './log-line.ts'
import { traceIds } from './tracing.ts'

export type { Logger } from 'pino'

const secretHeaders = new Set(['authorization', 'cookie', 'set-cookie', 'x-api-key', 'proxy-authorization'])

/**
 * A logger that writes a JSON line a message to standard output; to a terminal, in words.
 * @param name who logs: the role
 * @param destination somewhere else to write to, for tests
 */
export function createLogger(level: string, name: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    name,
    timestamp: stdTimeFunctions.isoTime,
    mixin: traceIds,
    serializers: { err: errorForLog, error: errorForLog },
    formatters: { log: withoutSecrets },
  }
  return pino(options, destination ?? (process.stdout.isTTY ? terminal : pino.destination(1)))
}

const terminal: DestinationStream = { write: (line) => void process.stdout.write(logLine(line, process.stdout)) }

/** Deeper than this is not looked for headers, nor does anybody log it. */
const MAX_DEPTH = 5

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** Headers that a key could be in are not logged, wherever they stand. (pino's `redact` goes through a list of places for every line, which costs as much as all else of it.) */
function withoutSecrets(logged: Record<string, unknown>, depth = 0): Record<string, unknown> {
  let cleaned: Record<string, unknown> | null = null
  for (const [name, value] of Object.entries(logged)) {
    const shown = secretHeaders.has(name) ? '[redacted]' : isPlain(value) && depth < MAX_DEPTH ? withoutSecrets(value, depth + 1) : value
    if (shown === value) continue
    cleaned ??= { ...logged }
    cleaned[name] = shown
  }
  return cleaned ?? logged
}

type LoggedError = { type: string; message: string; code?: string; stack?: string; cause?: LoggedError }

/** What may be logged of an error. Vendors' errors carry the request with its bearer token and body, so nothing else passes. */
export function errorForLog(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: typeof error === 'object' ? 'not an Error' : String(error) }
  const { code, cause } = error as NodeJS.ErrnoException
  return {
    type: error.name === 'Error' ? error.constructor.name : error.name,
    message: error.message,
    ...(code !== undefined && { code: String(code) }),
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(cause !== undefined && depth < 3 && { cause: errorForLog(cause, depth + 1) }),
  }
}
