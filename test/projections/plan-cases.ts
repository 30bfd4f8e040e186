import type { TSchema } from '@sinclair/typebox'
import { queries } from '../../projections/index.ts'
import { type Database, type Pool, type Query, sql } from '../../src/platform/database.ts'
import type { QueryEndpoint } from '../../src/platform/projection.ts'
import { everybody } from '../../src/platform/viewer.ts'

export type Case = { readonly endpoint: QueryEndpoint; readonly params: object; readonly query: object; readonly what: string }
type Answer = { data?: { name?: string }[]; nextCursor?: string | null } | null

/** What stands for each parameter that is no list of words: of a query, or of all that have it. The rows that they find are made in many-rows.ts. */
async function samplesOf(pool: Pool): Promise<Record<string, Record<string, readonly unknown[]>>> {
  const [someone] = await pool.rows<{
    id: string
    name: string
    address: string
    mail: string
    importId: string
    sha256: string
    commandId: string
    event: string
  }>(sql.unsafe`
    select contact_id as id, name, value as address, md5('mail777')::uuid as mail, md5('import1')::uuid as "importId", repeat(md5('2'), 2) as sha256,
      md5('command77')::uuid as "commandId", md5('mail777')::uuid as event
    from read.contacts_v3 join read.contact_methods_v3 using (contact_id) where contact_id = md5('id77')::uuid`)
  const { id, name, address, mail, importId, sha256, commandId, event } = someone!
  const [first, last] = name.toLowerCase().split(' ') as [string, string]
  const typo = `${last.slice(0, 4)}x${last.slice(5)}`
  return {
    listContacts: {
      q: [last, typo, last.slice(2), `${last} ${first}`, address.slice(3, 24), 'example', 'company', 'a'],
      company: ['COMPANY 77'],
      method: [address],
      createdAfter: ['2026-01-03T00:00:00Z'],
      createdBefore: ['2026-01-03T01:00:00Z'],
      updatedAfter: ['2026-02-14T00:00:00Z'],
    },
    listDuplicates: { minScore: [0.5] },
    getErasure: { id: [id] },
    getContactErasure: { id: [id] },
    getContact: { id: [id] },
    getContactTimeline: { id: [id] },
    listContactEmails: { id: [id] },
    getEmail: { id: [mail] },
    getThread: { id: [mail] },
    listImports: { sha256: [sha256] },
    getImport: { id: [importId] },
    getUndo: { id: [importId] },
    listImportResults: { id: [importId] },
    getContactEnrichment: { id: [id] },
    listEnrichments: { bulk: [importId] },
    listAudit: {
      actor: ['key:7'],
      command: [commandId],
      correlation: [commandId],
      resource: [`contact-${id}`],
      from: ['2020-03-01T00:00:00Z'],
      to: ['2021-04-01T00:00:00Z'],
    },
    getEventCauses: { id: [event] },
    getMailbox: { id: [importId] },
    listMailboxLedger: { id: [importId], rule: ['domain'] },
    listMailboxRuns: { id: [importId] },
    '*': {
      q: ['rare', 'common', 'common rare', 'subj', 'nowhere'],
      contact: [id],
      address: ['p77@x.example'],
      thread: [mail],
      dateAfter: ['2020-03-01T00:00:00Z'],
      dateBefore: ['2021-04-01T00:00:00Z'],
    },
  }
}

/**
 * Every query there is, with every value of every filter under every sort, and every two filters together: out of the schemas, so that nothing is
 * left out. @throws Error for a parameter for which nobody has said what stands for it
 */
export async function planCases(pool: Pool): Promise<Case[]> {
  const samples = await samplesOf(pool)
  return queries.flatMap((endpoint) => {
    const { operationId, params, querystring } = endpoint
    const valuesOf = (name: string, schema: TSchema): readonly unknown[] => {
      const values = wordsOf(schema) ?? samples[operationId]?.[name] ?? samples['*']![name]
      if (!values) throw new Error(`Nothing stands for ${name} of ${operationId}: say what in test/projections/plan-cases.ts.`)
      return values
    }
    const path = Object.fromEntries(Object.entries(params.properties).map(([name, schema]) => [name, valuesOf(name, schema)[0]]))
    const { limit: _limit, cursor: _cursor, sort, ...filters } = querystring.properties
    const sorts = [...(sort?.['default'] === undefined ? [{}] : []), ...(sort ? wordsOf(sort)!.map((sort) => ({ sort })) : [])]
    const each = Object.entries(filters).map(([name, schema]) => valuesOf(name, schema).map((value) => ({ [name]: value })))
    const alone = sorts.flatMap((sort) => [{}, ...each.flat()].map((filter) => ({ ...filter, ...sort })))
    const pairs = each.flatMap((values, index) => each.slice(index + 1).map((others) => ({ ...values[0], ...others[0] })))
    return [...alone, ...pairs].map((query) => ({ endpoint, params: path, query, what: `${operationId} ${JSON.stringify(query)}` }))
  })
}

/** The words that a parameter may be, where it is a list of such. */
function wordsOf({ enum: words, anyOf }: TSchema): readonly unknown[] | undefined {
  return words ?? anyOf?.map(({ const: word }: { const: unknown }) => word)
}

/** The answer, how long it took, and the plans of its statements as they were carried out. */
export async function explained(pool: Pool, { endpoint, params, query }: Case, page: object = {}) {
  const plans: string[] = []
  const db: Database = {
    async rows(query) {
      const text = `explain (analyze, costs off, timing off, summary off, buffers off) ${query.sql}`
      const lines = await pool.rows<{ 'QUERY PLAN': string }>({ ...query, name: undefined, sql: text } as Query)
      plans.push(lines.map((line) => line['QUERY PLAN']).join('\n'))
      return pool.rows(query)
    },
  }
  const answer = (await endpoint.run(db, { params: { ...params }, query: { ...query, ...page }, viewer: everybody })) as Answer
  return { answer, plan: plans.join('\n') }
}

/** @returns the median of three, in milliseconds */
export async function timed(pool: Pool, { endpoint, params, query }: Case, page: object = {}): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < 3; n += 1) {
    const begun = performance.now()
    await endpoint.run(pool, { params: { ...params }, query: { ...query, ...page }, viewer: everybody })
    times.push(performance.now() - begun)
  }
  return times.sort((a, b) => a - b)[1]!
}

const PER_PAGE = 25

/** Where page number `page` begins; null where there are fewer. All pages before it are taken for one. */
export async function cursorOf(pool: Pool, { endpoint, params, query }: Case, page: number): Promise<string | null> {
  if (!('limit' in endpoint.querystring.properties)) return null
  const before = { ...query, limit: PER_PAGE * (page - 1) }
  return ((await endpoint.run(pool, { params: { ...params }, query: before, viewer: everybody })) as Answer)?.nextCursor ?? null
}

/**
 * The most rows that any step of a plan read, over all its loops: those that it gave, and those that it looked at in vain. A scan of a whole table
 * reads as many as there are; one that stops when it has enough reads few.
 */
export function mostRows(plan: string): number {
  let most = 0
  let loops = 1
  for (const line of plan.split('\n')) {
    const [, rows, times] = /actual rows=([\d.]+) loops=(\d+)/.exec(line) ?? []
    const [, removed] = /Rows Removed by [\w ]+: (\d+)/.exec(line) ?? []
    loops = times === undefined ? loops : Number(times)
    most = Math.max(most, Number(rows ?? removed ?? 0) * loops)
  }
  return most
}
