import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { ContactInput } from '../../src/import/contact-input.ts'

export type Call = { method: string; path: string; headers: IncomingMessage['headers']; inputs: ContactInput[] }
type Result = { status: number; outcome: string; repeated: boolean; problem?: object }

/** Returns true when it has answered, or cut, the request itself. `applied` tells whether the batch has been written already. */
export type Intercept = (call: Call, response: ServerResponse, applied: boolean) => boolean | Promise<boolean>

/**
 * A small HTTP server that answers like the service's batch endpoint: contacts are found by e-mail address or id, an input that was applied under its
 * `Idempotency-Key` is not applied again. An address at refused.example is refused.
 */
export async function batchEndpoint(intercept: Intercept = () => false) {
  const calls: Call[] = []
  const contacts = new Map<string, string>()
  const commands = new Map<string, Result>()
  let position = 0

  const apply = (input: ContactInput, command: string): Result => {
    const known = commands.get(command)
    if (known) return { ...known, repeated: true }
    const email = input.methods?.find(({ type }) => type === 'email')?.value
    if (email?.endsWith('refused.example')) {
      const problem = {
        title: 'Bad request',
        detail: 'The address is refused.',
        errors: [{ path: '/methods/0/value', message: 'has to be another one' }],
      }
      return { status: 400, outcome: 'failed', repeated: false, problem }
    }
    const key = email ?? input.id ?? ''
    const [before, after] = [contacts.get(key), JSON.stringify(input)]
    contacts.set(key, after)
    const outcome = before === undefined ? 'created' : before === after ? 'unchanged' : 'updated'
    if (outcome !== 'unchanged') position++
    const result = { status: outcome === 'created' ? 201 : 200, outcome, repeated: false }
    commands.set(command, result)
    return result
  }

  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request
    const { inputs = [] } = method === 'POST' ? ((await json(request)) as { inputs?: ContactInput[] }) : {}
    const call = { method, path: url, headers, inputs }
    calls.push(call)
    if (headers.authorization !== 'Bearer test-key') return void response.writeHead(401).end()
    if (await intercept(call, response, false)) return
    const results = inputs.map((input, index) => apply(input, `${headers['idempotency-key']}/${index}`))
    if (await intercept(call, response, true)) return
    response.writeHead(method === 'POST' ? 207 : 200, {
      'content-type': 'application/json',
      'smartcrm-position': `${position}.${position}`,
    })
    response.end(JSON.stringify(method === 'POST' ? { results, correlationId: headers['x-correlation-id'] } : { data: [] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    contacts,
    calls,
    batches: () => calls.filter(({ method }) => method === 'POST'),
    position: () => `${position}.${position}`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
