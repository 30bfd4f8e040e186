import type { IssuedApiKey } from '../../schema/access.ts'
import type { Answer, TestApi } from './api.ts'

/** Somebody with a key of his own. */
export type Person = {
  readonly id: string
  readonly key: string
  readonly actor: string
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Asks a query that has seen what this answer tells of. */
  after(answer: Answer, path: string, headers?: Record<string, string>): Promise<Answer>
}

/** Issues a key, as the administrator. @param input what of it is not a member's that sees all */
export async function person(api: TestApi, input: object = {}): Promise<Person> {
  const { status, body } = await api.ask('POST', '/v1/keys', { name: 'of a test', role: 'member', ...input })
  if (status !== 201) throw new Error(`no key was issued: ${JSON.stringify(body)}`)
  const { id, key, actor } = body as (typeof IssuedApiKey)['static']
  const authorization = `Bearer ${key}`
  return {
    id,
    key: key!,
    actor,
    ask: (method, path, body, headers) => api.ask(method, path, body, { authorization, ...headers }),
    after: (answer, path, headers) => api.after(answer, path, { authorization, ...headers }),
  }
}
