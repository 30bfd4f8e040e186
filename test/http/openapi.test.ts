import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { queries } from '../../projections/index.ts'
import { commands } from '../../src/commands.ts'
import { testApi } from '../support/api.ts'

const file = join(import.meta.dirname, '../openapi.json')
const { ask } = await testApi(t, { projector: false })
const { body: document } = await ask('GET', '/openapi.json')

type Operation = {
  operationId?: string
  summary?: string
  tags?: string[]
  parameters?: { name: string; in: string; description?: string; schema: object }[]
  requestBody?: { content: Record<string, object> }
  responses: Record<string, { description: string; content?: Record<string, object> }>
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods as Record<string, Operation>).map(([method, operation]) => ({ path, method, operation })),
)

t.test('the document is the one that was agreed on', async (t) => {
  const text = `${JSON.stringify(document, null, 2)}\n`
  if (process.env['UPDATE_OPENAPI'] === '1') await writeFile(file, text)
  const agreed = await readFile(file, 'utf8')
  t.strictSame(
    document,
    JSON.parse(agreed),
    'What the API promises has changed. If that is meant, run `UPDATE_OPENAPI=1 node test/http/openapi.test.ts` and commit test/openapi.json.',
  )
})

t.test('the document is valid OpenAPI 3.1', async (t) => {
  const validator = new Validator({ strict: false })
  const { valid, errors } = await validator.validate(structuredClone(document))
  t.ok(valid, JSON.stringify(errors, null, 1))
  t.equal(validator.version, '3.1')
})

t.test('every command and every query has its operation, under its own name', async (t) => {
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length)
  for (const { operationId } of [...commands, ...queries]) t.ok(ids.includes(operationId), operationId)
  for (const { path, method, operationId } of commands)
    t.equal(document.paths[`/v1${path}`]?.[method.toLowerCase()]?.operationId, operationId)
})

for (const { path, method, operation } of operations) {
  t.test(`${method.toUpperCase()} ${path} is told of in full`, async (t) => {
    const { operationId, summary, tags, parameters = [], requestBody, responses } = operation
    t.match(operationId, /^[a-z][A-Za-z]+$/)
    t.ok(summary && tags?.length)
    t.match(responses['default']?.content?.['application/problem+json'], { schema: { $ref: '#/components/schemas/Problem' } })
    t.ok(Object.keys(responses).some((status) => /^2\d\d$/.test(status)))
    for (const [status, { description }] of Object.entries(responses)) {
      t.ok(description && description !== 'Default Response', `${status} has a description`)
    }
    // Of bytes there is nothing to show.
    const isBytes = JSON.stringify(responses['200'] ?? null).includes('"format":"binary"')
    if (!isBytes) t.match(JSON.stringify([responses, requestBody]), /"examples?":[[{]/, 'its answers have an example')
    if (requestBody) t.match(JSON.stringify(requestBody), /"examples?":[[{]/, 'its body has an example')
    const named = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`)
    t.strictSame(named.toSorted(), (path.match(/\{\w+\}/g) ?? []).toSorted())
    for (const { name, description } of parameters.filter((parameter) => parameter.in !== 'path'))
      t.ok(description, `${name} has a description`)
    const media = Object.keys(requestBody?.content ?? {})
    if (method === 'patch') t.strictSame(media, ['application/json', 'application/merge-patch+json'])
    else if (requestBody) t.strictSame(media, [operationId === 'createImport' ? 'multipart/form-data' : 'application/json'])
  })
}
