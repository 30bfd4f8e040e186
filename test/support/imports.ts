import type { Import } from '../../schema/import.ts'
import { until } from './processes.ts'

/** What the service of test/support/api.ts takes; that one is not imported, for scripts that are no tests. */
const adminKey = 'a-key-for-tests-0123456789'

type Service = { readonly url: string; readonly key?: string }
export type Accepted = { id: string; jobId: string; known: boolean; kind: string; sizeBytes: number; sha256: string }

/** Sends a form. @param fields in their order; a value that is no text is a file */
export async function postForm(
  { url, key = adminKey }: Service,
  fields: readonly (readonly [string, string | Blob])[],
  headers: Record<string, string> = {},
) {
  const form = new FormData()
  for (const [name, value] of fields) typeof value === 'string' ? form.append(name, value) : form.append(name, value, 'a file.mbox')
  const response = await fetch(`${url}/v1/imports`, { method: 'POST', body: form, headers: { authorization: `Bearer ${key}`, ...headers } })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Accepted & { code: string; errors: { path: string }[] },
  }
}

export async function upload(
  service: Service,
  file: Uint8Array | Blob,
  me: readonly string[] = [],
  more: readonly (readonly [string, string])[] = [],
) {
  const answer = await postForm(service, [
    ...me.map((address) => ['me', address] as const),
    ...more,
    ['file', file instanceof Blob ? file : new Blob([new Uint8Array(file)])],
  ])
  if (answer.status !== 202) throw new Error(`answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer
}

export async function get<T>(
  { url, key = adminKey }: Service,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: T; headers: Headers }> {
  const response = await fetch(url + path, { headers: { authorization: `Bearer ${key}`, ...headers } })
  return { status: response.status, headers: response.headers, body: (await response.json()) as T }
}

/** Waits until an import is at its end. */
export function finished(service: Service, id: string, seconds = 120): Promise<Import> {
  return until(
    `the end of import ${id}`,
    async () => {
      const { status, body } = await get<Import>(service, `/v1/imports/${id}`).catch(() => ({ status: 0, body: null }))
      return status === 200 && body?.state === 'finished' ? body : null
    },
    seconds,
  )
}

type Result = {
  index: number
  outcome: string
  emailId?: string
  contactId?: string
  code?: string
  reason?: string
  line?: number
  hasRaw: boolean
}
type ResultPage = { data: Result[]; nextCursor: string | null }

/** All results of an import. */
export async function results(service: Service, id: string, query = ''): Promise<Result[]> {
  const all: Result[] = []
  for (let cursor = ''; ; ) {
    const page: ResultPage = (await get<ResultPage>(service, `/v1/imports/${id}/results?limit=200${query}${cursor}`)).body
    all.push(...page.data)
    if (page.nextCursor === null) return all
    cursor = `&cursor=${page.nextCursor}`
  }
}
