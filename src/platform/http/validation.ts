import { Ajv, type ErrorObject } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify'
import type { Fault } from '../refusal.ts'

const options = { allErrors: true, removeAdditional: false, useDefaults: true, strict: false } as const
/** Bodies are JSON: nothing is coerced, nothing dropped. */
const strict = new Ajv({ ...options, coerceTypes: false })
/** Query strings and paths are text: `25` may mean a number. */
const lenient = new Ajv({ ...options, coerceTypes: true })
for (const ajv of [strict, lenient]) addFormats.default(ajv)

export const compileValidator: FastifySchemaCompiler<object> = ({ schema, httpPart }) =>
  (httpPart === 'body' ? strict : lenient).compile(schema)

/** A check of one value, outside of a route: gives every fault. */
export function checker(schema: object): (value: unknown) => Fault[] {
  const validate = strict.compile(schema)
  return (value) => (validate(value) ? [] : faultsOf(validate.errors ?? [], ''))
}

/** The validator's errors as faults: one a place, in words. @param under a JSON Pointer that goes before each path */
export function faultsOf(errors: readonly (ErrorObject | FastifySchemaValidationError)[], under: string): Fault[] {
  const unions = errors.filter(({ keyword }) => keyword === 'anyOf')
  const alternatives = (union: { schemaPath: string }) =>
    errors.filter((error) => error !== union && error.schemaPath.startsWith(`${union.schemaPath}/`))
  const inside = new Set(unions.flatMap(alternatives))
  return errors
    .filter((error) => !inside.has(error))
    .map((error) => {
      const message = error.keyword === 'anyOf' ? oneOf(alternatives(error)) : words(error)
      return { path: `${under}${error.instancePath}${pointerTail(error)}`, message }
    })
}

type AnyError = ErrorObject | FastifySchemaValidationError

function pointerTail({ keyword, params }: AnyError): string {
  const name =
    keyword === 'required' ? params['missingProperty'] : keyword === 'additionalProperties' ? params['additionalProperty'] : undefined
  return typeof name === 'string' ? `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` : ''
}

function words({ keyword, params, message }: AnyError): string {
  if (keyword === 'required') return 'is required'
  if (keyword === 'additionalProperties') return 'is not a known field'
  if (keyword === 'pattern' && params['pattern'] === '\\S') return 'must not be blank'
  if (keyword === 'pattern' && String(params['pattern']).startsWith('^[0-9a-f]{8}-')) return 'must be a UUID in lower case'
  if (keyword === 'minLength' && params['limit'] === 1) return 'must not be empty'
  return message ?? 'is wrong'
}

function oneOf(errors: AnyError[]): string {
  const constants = errors.filter(({ keyword }) => keyword === 'const').map(({ params }) => params['allowedValue'])
  if (constants.length === errors.length) return `must be one of ${constants.join(', ')}`
  return [...new Set(errors.map(words))].join(' or ')
}
