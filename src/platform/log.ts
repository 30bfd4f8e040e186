import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'

import { logLine } from './log-line.ts'
import { traceIds } from './tracing.ts'

export type { Logger } from 'pino'

const secretHeaders = ['authorization', 'cookie', '"set-cookie"', '"x-api-key"', '"proxy-authorization"']
const places = ['', 'headers.', 'req.headers.', 'res.headers.', '*.headers.', '*.*.headers.']

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
    redact: { paths: places.flatMap((place) => secretHeaders.map((header) => join(place, header))), censor: '[redacted]' },
  }
  return pino(options, destination ?? (process.stdout.isTTY ? terminal : pino.destination(1)))
}

const terminal: DestinationStream = { write: (line) => void process.stdout.write(logLine(line, process.stdout)) }

const join = (place: string, header: string) => (header.startsWith('"') ? `${place.replace(/\.$/, '')}[${header}]` : `${place}${header}`)

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
