import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify'
import type { Fault } from '../refusal.ts'

const options = { allErrors: true, removeAdditional: false, useDefaults: true, strict: false } as const
/** Bodies are JSON: nothing is coerced, nothing dropped. */
const strict = new Ajv({ ...options, coerceTypes: false })
/** Query strings and paths are text: `25` may mean a number. */
const lenient = new Ajv({ ...options, coerceTypes: true })
for (const ajv of [strict, lenient]) addFormats.default(ajv)

/** Each when it is first needed: all of them would be a third of what the API takes to start. That each can be compiled, http/malformed.test.ts tells. */
export const compileValidator: FastifySchemaCompiler<object> = ({ schema, httpPart }) => {
  let validate: ValidateFunction | undefined
  // Fastify looks for the faults where Ajv leaves them: on the function.
  const check = Object.assign(
    (value: unknown) => {
      validate ??= (httpPart === 'body' ? strict : lenient).compile(schema)
      const fits = validate(value) as boolean
      check.errors = validate.errors
      return fits
    },
    { errors: undefined as ValidateFunction['errors'] },
  )
  return check
}

/** A check of one value, outside of a route: gives every fault. */
export function checker(schema: object): (value: unknown) => Fault[] {
  const validate = strict.compile(schema)
  return (value) => (validate(value) ? [] : faultsOf(validate.errors ?? [], ''))
}

type AnyError = ErrorObject | FastifySchemaValidationError

/** What comes next takes time by the square of their number, and a hostile body has a million faults. */
const MAX_ERRORS = 1_000
export const MAX_FAULTS = 100

/** The validator's errors as faults: one a place, in words, the first hundred. @param under a JSON Pointer that goes before each path */
export function faultsOf(all: readonly AnyError[], under: string): Fault[] {
  const errors = all.slice(0, MAX_ERRORS)
  const unions = errors.filter(({ keyword }) => keyword === 'anyOf')
  const alternatives = (union: AnyError) =>
    errors.filter(
      ({ schemaPath, instancePath }) => schemaPath.startsWith(`${union.schemaPath}/`) && instancePath.startsWith(union.instancePath),
    )
  const inside = new Set(unions.flatMap(alternatives))
  const messages = new Map<string, string>()
  for (const error of errors) {
    const path = `${under}${error.instancePath}${pointerTail(error)}`
    if (!inside.has(error) && !messages.has(path)) {
      messages.set(path, error.keyword === 'anyOf' ? oneOf(alternatives(error)) : words(error))
    }
  }
  return [...messages].slice(0, MAX_FAULTS).map(([path, message]) => ({ path, message }))
}

function pointerTail({ keyword, params }: AnyError): string {
  const name =
    keyword === 'required' ? params['missingProperty'] : keyword === 'additionalProperties' ? params['additionalProperty'] : undefined
  return typeof name === 'string' ? `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` : ''
}

function words({ keyword, params, message }: AnyError): string {
  if (keyword === 'required') return 'is required'
  if (keyword === 'additionalProperties') return 'is not a known field'
  if (keyword === 'pattern' && params['pattern'] === '\\S') return 'must not be blank'
  if (keyword === 'pattern' && params['pattern'] === '^[^\\u0000]*$') return 'must not contain the character NUL'
  if (keyword === 'pattern' && String(params['pattern']).startsWith('^[0-9a-f]{8}-')) return 'must be a UUID in lower case'
  if (keyword === 'pattern' && String(params['pattern']).startsWith('^[0-9]{1,19}')) return 'must be a position, like 8471.8471'
  if (keyword === 'format' && params['format'] === 'date-time') return 'must be a time with its zone, like 2026-03-01T09:30:00Z'
  if (keyword === 'enum') return `must be one of ${params['allowedValues'].join(', ')}`
  if (keyword === 'minLength' && params['limit'] === 1) return 'must not be empty'
  return message ?? 'is wrong'
}

function oneOf(errors: AnyError[]): string {
  const constants = errors.filter(({ keyword }) => keyword === 'const').map(({ params }) => params['allowedValue'])
  if (constants.length === errors.length) return `must be one of ${constants.join(', ')}`
  return [...new Set(errors.map(words))].join(' or ')
}
