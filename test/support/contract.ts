import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Answer } from './api.ts'

type Response = { content?: Record<string, object>; headers?: Record<string, object> }
type Operation = { responses: Record<string, Response> }
type Document = { paths?: object | undefined }

type Contract = (method: string, path: string, answer: Answer) => void

/** Those that were asked for, by their document: what one has compiled serves every test of this process. */
const known = new Map<string, Contract>()

/** Holds real answers to the OpenAPI document: their status, media type, headers and body. @throws what does not fit */
export function contractOf(document: Document): Contract {
  const text = JSON.stringify(document)
  const contract = known.get(text) ?? createContract(document)
  known.set(text, contract)
  return contract
}

function createContract(document: Document): Contract {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  // What the document does not name, no answer may say.
  const strict = JSON.parse(JSON.stringify(document), (_, value) =>
    value?.type === 'object' && value.properties && !('additionalProperties' in value) ? { ...value, additionalProperties: false } : value,
  )
  ajv.addSchema({ ...strict, $id: 'openapi' })
  const paths = Object.entries(document.paths ?? {}).map(([template, operations]) => ({
    template,
    operations: operations as Record<string, Operation | undefined>,
    pattern: new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`),
    // One that is fixed goes before one with a parameter in the same place.
    parameters: template.split('{').length,
  }))
  paths.sort((a, b) => a.parameters - b.parameters)

  return (method, path, { status, headers, body }) => {
    const [address] = path.split('?')
    const name = method.toLowerCase()
    const { template = '', operations } = paths.find(({ pattern, operations }) => operations[name] && pattern.test(address!)) ?? {}
    const operation = operations?.[name]
    // An answer without a body has nothing to check but that it is one of those that have none.
    if (status === 304 || name === 'head' || !address!.startsWith('/v1/')) return
    const type = (headers.get('content-type') ?? '').split(';')[0]!
    const what = `${method} ${path} answered ${status} ${type}`
    // What is at no address, and every refusal before a route is found, is a problem too.
    if (!operation) return fits('/components/schemas/Problem', what, body, type === 'application/problem+json')

    const code = operation.responses[status] ? String(status) : 'default'
    const response = operation.responses[code]
    if (code === 'default' && status < 400) throw new Error(`${what}, which the document does not tell of`)
    // A batch in which nothing was done has no position, nor has what was only asked beforehand.
    const missing = Object.keys(response?.headers ?? {}).filter((header) => !headers.has(header))
    if (missing.length > 0 && status !== 207 && !path.includes('dryRun=true')) throw new Error(`${what} without ${missing.join(', ')}`)
    const at = ['paths', template, name, 'responses', code, 'content', type, 'schema']
    fits(`/${at.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`, what, body, Boolean(response?.content?.[type]))
  }

  function fits(pointer: string, what: string, body: unknown, isKnownType: boolean): void {
    if (!isKnownType) throw new Error(`${what}, a media type that the document does not tell of: ${JSON.stringify(body)}`)
    const validate = ajv.getSchema(`openapi#${encodeURI(pointer)}`)
    if (!validate) throw new Error(`there is no ${pointer} in the document`)
    if (!validate(body)) throw new Error(`${what}, which does not fit: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(body)}`)
  }
}
