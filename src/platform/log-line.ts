import { styleText } from 'node:util'

type LoggedError = { message?: string; stack?: string; cause?: LoggedError }

const names: Record<number, string> = { 40: 'WARN ', 50: 'ERROR ', 60: 'FATAL ' }
const ERROR = 50
/** What a person at a terminal does not need: it is the same in every line, or only of use to a program that searches. */
const untold = new Set(['level', 'time', 'pid', 'hostname', 'name', 'msg', 'err', 'error', 'reqId', 'correlationId', 'trace_id', 'span_id'])

/**
 * An entry of the log as a person at a terminal reads it: the local time, the role, what happened and its fields.
 * @param json a line as pino writes it
 * @param stream where it goes, which decides on colors
 */
export function logLine(json: string, stream: NodeJS.WritableStream): string {
  const style = { stream }
  const entry = parsed(json)
  if (!entry) return json
  const {
    level,
    time,
    name,
    msg = '',
    err,
    error,
  } = entry as {
    level: number
    time: string
    name: string
    msg?: string
    err?: LoggedError
    error?: LoggedError
  }
  const fault = err ?? error
  const fields = Object.entries(entry).filter(([key]) => !untold.has(key))
  const told = [harmless(msg), ...(fault ? [harmless(messagesOf(fault))] : [])].filter(Boolean).join(': ')
  const rest = fields.map(([key, value]) => ` ${key}=${valueText(value)}`).join('')
  const color = level >= ERROR ? 'red' : level > 30 ? 'yellow' : 'reset'
  const head = `${new Date(time).toTimeString().slice(0, 8)} ${name.padEnd(11)}`
  const stack = fault?.stack && level >= ERROR ? `${harmless(fault.stack)}\n` : ''
  return `${styleText('dim', head, style)} ${styleText(color, `${names[level] ?? ''}${told}`, style)}${styleText('dim', rest, style)}\n${stack}`
}

function parsed(json: string): Record<string, unknown> | null {
  try {
    const entry = JSON.parse(json)
    return typeof entry?.level === 'number' ? entry : null
  } catch {
    return null
  }
}

const messagesOf = ({ message = '', cause }: LoggedError): string => (cause ? `${message} (${messagesOf(cause)})` : message)

const valueText = (value: unknown): string =>
  typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) ? value : harmless(JSON.stringify(value))

/** Others' texts must not move the cursor or change the colors. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const harmless = (text: string): string => text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '?')
