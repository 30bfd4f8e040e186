import { invalidArgument } from './errors.ts'

type Mask = { [name: string]: Mask | true }

/**
 * What `fields` leaves of an answer, as https://developers.google.com/workspace/gmail/api/guides/performance#partial says: names with commas between, `a/b`
 * and `a(b,c)` for what is inside, `*` for all.
 */
export function onlyFields(answer: unknown, fields: string): unknown {
  const rest = fields.match(/[\w*-]+|[,()/]/g) ?? []
  const mask = maskOf(rest)
  if (rest.length > 0) throw invalidArgument(`Invalid field selection ${fields}`)
  return masked(answer, mask)
}

function maskOf(tokens: string[]): Mask {
  const mask: Mask = {}
  for (;;) {
    const name = tokens.shift()
    if (name === undefined || /[,()/]/.test(name)) throw invalidArgument('Invalid field selection')
    mask[name] = innerOf(tokens)
    if (tokens[0] !== ',') return mask
    tokens.shift()
  }
}

function innerOf(tokens: string[]): Mask | true {
  if (tokens[0] === '(') {
    tokens.shift()
    const inner = maskOf(tokens)
    if (tokens.shift() !== ')') throw invalidArgument('Invalid field selection')
    return inner
  }
  if (tokens[0] !== '/') return true
  tokens.shift()
  const name = tokens.shift()
  if (name === undefined) throw invalidArgument('Invalid field selection')
  return { [name]: innerOf(tokens) }
}

function masked(value: unknown, mask: Mask | true): unknown {
  if (mask === true || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => masked(item, mask))
  const names = Object.keys(value).filter((name) => mask[name] ?? mask['*'])
  return Object.fromEntries(names.map((name) => [name, masked((value as Record<string, unknown>)[name], (mask[name] ?? mask['*'])!)]))
}
