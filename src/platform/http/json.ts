import { type Fault, Invalid, Refused } from '../refusal.ts'

const MAX_DEPTH = 32

/**
 * A request's body out of its text; undefined for an empty one.
 * What Postgres or canonical JSON cannot carry (NUL, half a surrogate pair) and what is meant to deceive (`__proto__`) is refused here, once for all.
 * @throws Refused when it is no JSON; Invalid naming every wrong place
 */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Refused('invalid-json', `The body is not JSON: ${(error as Error).message}`, 400)
  }
  const faults: Fault[] = []
  inspect(value, '', 0, faults)
  if (faults.length > 0) throw new Invalid(faults)
  return value
}

function inspect(value: unknown, path: string, depth: number, faults: Fault[]): void {
  if (faults.length >= 100) return
  if (typeof value === 'string') {
    if (value.includes('\0')) faults.push({ path, message: 'must not contain the character NUL' })
    if (!value.isWellFormed()) faults.push({ path, message: 'must be well-formed Unicode: it has half a surrogate pair' })
  } else if (value !== null && typeof value === 'object') {
    if (depth >= MAX_DEPTH) {
      faults.push({ path, message: `must not be nested more than ${MAX_DEPTH} deep` })
      return
    }
    for (const [name, inner] of Object.entries(value)) {
      if (name === '__proto__') faults.push({ path: `${path}/__proto__`, message: 'is not a known field' })
      else inspect(inner, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1, faults)
    }
  }
}
