import { type Fault, Invalid, Refused } from '../refusal.ts'
import { MAX_FAULTS } from './validation.ts'

const MAX_DEPTH = 32

/**
 * A request's body out of its text; undefined for an empty one.
 * @param apart a field whose values are not looked at here: the route looks at each by itself
 * @throws Refused when it is no JSON; Invalid naming every place that `faultsOfText` finds
 */
export function parseJson(text: string, apart?: string): unknown {
  if (text.trim() === '') return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Refused('invalid-json', `The body is not JSON: ${(error as Error).message}`, 400)
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const faults = faultsOfText(apart !== undefined && isObject ? { ...(value as object), [apart]: null } : value)
  if (faults.length > 0) throw new Invalid(faults)
  return value
}

/** What Postgres or canonical JSON cannot carry (NUL, half a surrogate pair, too large a number) and what is meant to deceive (`__proto__`). */
export function faultsOfText(value: unknown): Fault[] {
  const faults: Fault[] = []
  inspect(value, '', 0, faults)
  return faults
}

function inspect(value: unknown, path: string, depth: number, faults: Fault[]): void {
  if (faults.length >= MAX_FAULTS) return
  if (typeof value === 'string') {
    if (value.includes('\0')) faults.push({ path, message: 'must not contain the character NUL' })
    if (!value.isWellFormed()) faults.push({ path, message: 'must be well-formed Unicode: it has half a surrogate pair' })
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) faults.push({ path, message: 'is too large a number' })
  } else if (value !== null && typeof value === 'object') {
    if (depth >= MAX_DEPTH) {
      faults.push({ path, message: `must not be nested more than ${MAX_DEPTH} deep` })
      return
    }
    for (const [name, inner] of Object.entries(value)) {
      if (name === '__proto__' || !name.isWellFormed())
        faults.push({ path: `${path}/${name.toWellFormed()}`, message: 'is not a known field' })
      else inspect(inner, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1, faults)
    }
  }
}
