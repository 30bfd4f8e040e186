import { Writable } from 'node:stream'
import { createLogger, type Logger } from '../../src/platform/log.ts'

/** A logger, and what it has written, as objects. */
export function recordingLog<Line extends object>(level = 'info'): { log: Logger; lines: Line[] } {
  const lines: Line[] = []
  const destination = new Writable({
    write(line, _encoding, done) {
      lines.push(JSON.parse(line))
      done()
    },
  })
  return { log: createLogger(level, 'test', destination), lines }
}
