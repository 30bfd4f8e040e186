import { randomUUID } from 'node:crypto'
import { type EnrichedValue, type Field, sourceKinds } from '../../schema/enrichment.ts'
import { recordEnriched } from '../../src/contacts/enriched.ts'
import { normalizeEmail } from '../../src/platform/email-address.ts'
import { formatPosition } from '../../src/platform/position.ts'
import { Refused } from '../../src/platform/refusal.ts'
import type { Answer, TestApi } from './api.ts'
import { finished, upload } from './imports.ts'
import { madeUpMail, OWN_ADDRESS, randoms } from './made-up-mail.ts'

const NAMES = ['Ada Lovelace', 'Grace Hopper', 'Alan Turing', 'Émilie du Châtelet', 'Konrad Zuse', 'Hedy Lamarr', 'Mary Somerville']
const COMPANIES = ['Analytical Engines', 'Navy', 'NPL', 'Zuse KG', null]

const FIELDS: readonly Field[] = ['jobTitle', 'company', 'interests', 'phones']

/**
 * What happens to a CRM, at random and the same for one seed: contacts, the ways to reach them, notes, mails that come and go, what enrichment proposes
 * and people say of it, merges and what becomes of them, and, where a worker runs, imports and undos. Refusals are part of it.
 */
export function randomHistory(api: TestApi, seed: number, { imports = false } = {}) {
  const random = randoms(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const contacts: string[] = []
  const methods: { contact: string; method: string }[] = []
  const mails: string[] = []
  const importIds: string[] = []
  const proposed: { contact: string; enrichmentId: string; valueId: string }[] = []
  /** What can be undone: by its correlation id. */
  const done: string[] = []
  const undoIds: string[] = []
  let mailNumber = 0
  let last: Answer | null = null

  const learn = (answer: Answer) => {
    if (answer.headers.get('smartcrm-position')) last = answer
    const { id, methods: listed = [] } = (answer.body ?? {}) as { id?: string; methods?: { id: string }[] }
    if (answer.status >= 400 || !id) return
    if (answer.status === 201 && !contacts.includes(id)) contacts.push(id)
    for (const method of listed) if (!methods.some((known) => known.method === method.id)) methods.push({ contact: id, method: method.id })
  }
  const someMethod = () =>
    random() < 0.8
      ? { type: 'email', value: `P${Math.floor(random() * 30)}@People.example` }
      : { type: 'phone', value: `+4930${Math.floor(1e6 + random() * 9e6)}` }
  const command = async (method: string, path: string, body?: object): Promise<Answer> => {
    const correlationId = randomUUID()
    const answer = await api.ask(method, path, body, { 'x-correlation-id': correlationId })
    if (answer.status < 300) done.push(correlationId)
    learn(answer)
    return answer
  }

  const steps: (() => Promise<unknown>)[] = [
    () => command('POST', '/v1/contacts', { name: `${pick(NAMES)} ${Math.floor(random() * 90)}`, methods: [someMethod()] }),
    () => command('POST', '/v1/contacts', { name: pick(NAMES), company: pick(COMPANIES) ?? 'Nobody' }),
    () =>
      command('PUT', `/v1/contacts/by-email/${encodeURIComponent(`p${Math.floor(random() * 30)}@people.example`)}`, { name: pick(NAMES) }),
    () =>
      command('PATCH', `/v1/contacts/${pick(contacts)}`, { name: `${pick(NAMES)} ${Math.floor(random() * 90)}`, company: pick(COMPANIES) }),
    () => command('POST', `/v1/contacts/${pick(contacts)}/methods`, someMethod()),
    () => command('POST', `/v1/contacts/${pick(contacts)}/notes`, { text: `Called about ${pick(COMPANIES)}` }),
    () => command(pick(['DELETE', 'POST']), `/v1/contacts/${pick(contacts)}`),
    () => command('POST', `/v1/contacts/${pick(contacts)}/${pick(['archive', 'restore'])}`),
    async () => {
      const known = methods.length > 0 ? pick(methods) : null
      if (known) await command('DELETE', `/v1/contacts/${known.contact}/methods/${known.method}`)
    },
    () =>
      command('POST', `/v1/contacts/${pick(contacts)}/merge`, {
        from: pick(contacts),
        ...(random() < 0.5 && { choose: { name: 'from' } }),
      }),
    async () => {
      const { body } = await api.ask('GET', `/v1/contacts/${pick(contacts)}`)
      if (body.merged) await command('POST', `/v1/contacts/${body.id}/unmerge`, { from: pick(body.merged as string[]) })
    },
    mail,
    mail,
    mail,
    async () => {
      if (mails.length > 0 && random() < 0.4) await command('DELETE', `/v1/emails/${pick(mails)}`)
    },
    enrich,
    async () => {
      const value = proposed.length > 0 ? pick(proposed) : null
      const about = value && `/v1/contacts/${value.contact}`
      if (value && random() < 0.2) await command('POST', `${about}/enrichments/${value.enrichmentId}/undo`)
      else if (value) await command('POST', `${about}/enrichment/values/${value.valueId}/${pick(['accept', 'reject'])}`)
    },
    () => {
      const [verb, to, body] = pick([
        ['PUT', 'fields', { values: [`said ${Math.floor(random() * 9)}`] }],
        ['DELETE', 'fields', undefined],
        ['PUT', 'locks', {}],
        ['DELETE', 'locks', undefined],
      ] as const)
      return command(verb, `/v1/contacts/${pick(contacts)}/${to}/${pick(FIELDS)}`, body)
    },
    () => command('PUT', '/v1/enrichment/sources', { order: sourceKinds.toSorted(() => random() - 0.5).slice(0, 3) }),
    () => command('POST', '/v1/duplicates/dismiss', { contactIds: [pick(contacts), pick(contacts)] }),
    ...(imports ? [undo] : []),
  ]

  /** What an enrichment of a contact came to, without asking anybody. */
  async function enrich(): Promise<void> {
    const [contact, enrichmentId, readAt] = [pick(contacts), randomUUID(), new Date().toISOString()]
    const values = FIELDS.filter(() => random() < 0.5).map(
      (field): EnrichedValue => ({
        id: randomUUID(),
        field,
        value: `${field} ${Math.floor(random() * 9)}`,
        evidence: random() < 0.8 ? 'it says so' : null,
        isSupported: random() < 0.8,
        source: { kind: pick(sourceKinds), vendor: 'apify', url: 'https://example.com', readAt, model: 'made-up', promptVersion: '1' },
        confidence: Math.round(random() * 100) / 100,
      }),
    )
    const id = randomUUID()
    const cause = { actor: 'system:worker', commandId: id, request: id, correlationId: id, causationId: id }
    try {
      const { position } = await api.services.runner.execute(recordEnriched, { enrichmentId, values }, { id: contact }, cause)
      if (position) last = { status: 200, headers: new Headers({ 'smartcrm-position': formatPosition(position) }), body: null }
      for (const { id: valueId } of values) proposed.push({ contact, enrichmentId, valueId })
    } catch (error) {
      if (!(error instanceof Refused)) throw error
    }
  }

  async function undo(): Promise<void> {
    if (done.length === 0) return
    const correlationId = pick(done)
    const answer = await api.ask('POST', '/v1/undo', { correlationId }, { prefer: 'wait=30' })
    if (answer.status >= 400) return
    if (answer.status !== 200) throw new Error(`an undo was not done in 30 s: ${JSON.stringify(answer.body)}`)
    done.push(answer.body.id)
    undoIds.push(answer.body.id)
    learn({ ...answer, body: null })
  }

  async function mail(): Promise<void> {
    const { raw } = madeUpMail(random() < 0.15 && mailNumber > 0 ? Math.floor(random() * mailNumber) : mailNumber++, seed)
    const id = randomUUID()
    const cause = { actor: 'key:test', commandId: id, request: id, correlationId: id, causationId: id }
    const ownAddresses = new Set([normalizeEmail(OWN_ADDRESS)!])
    const stored = await api.services.ingest(raw, { source: 'import:test', ownAddresses, cause, isKept: false, again: random() < 0.5 })
    if (stored.outcome === 'failed') throw new Error(stored.reason)
    if (!mails.includes(stored.emailId)) mails.push(stored.emailId)
    if (stored.position) last = { status: 200, headers: new Headers({ 'smartcrm-position': formatPosition(stored.position) }), body: null }
  }

  return {
    contacts,
    mails,
    /** So many things happen. @returns an answer that knows the position of the last of them */
    async go(count: number): Promise<Answer> {
      if (contacts.length === 0) await steps[0]!()
      for (let step = 0; step < count; step += 1) await pick(steps)()
      if (imports) {
        const file = Buffer.from(`Name,E-mail\n${pick(NAMES)},p${Math.floor(random() * 40)}@people.example\n,\n`)
        const { body } = await upload({ url: api.url }, file)
        await finished({ url: api.url }, body.id)
        if (!importIds.includes(body.id)) importIds.push(body.id)
        const { store } = api.services
        last = { status: 200, headers: new Headers({ 'smartcrm-position': formatPosition((await store.tail())!) }), body: null }
      }
      return last!
    },
    /** What can be asked now: every query of contacts, mails and imports, with its filters, sorts and a later page. */
    async questions(): Promise<string[]> {
      const [contact, other, email] = [pick(contacts), pick(contacts), mails.length > 0 ? pick(mails) : randomUUID()]
      const events = await api.ask('GET', `/v1/audit?limit=1&resource=contact-${contact}`)
      const lists = [
        '/v1/contacts',
        '/v1/contacts?archived=any&sort=name&limit=5',
        '/v1/contacts?sort=-lastEmailAt',
        '/v1/contacts?q=lovelase',
        '/v1/contacts?q=people',
        '/v1/contacts?company=navy&archived=any',
        `/v1/contacts?method=p${Math.floor(random() * 30)}@people.example`,
        `/v1/contacts/${contact}`,
        `/v1/contacts/${other}`,
        `/v1/contacts/${randomUUID()}`,
        ...Array.from({ length: 6 }, () => `/v1/contacts/${pick(contacts)}`),
        `/v1/contacts/${contact}/timeline`,
        `/v1/contacts/${other}/timeline?limit=3`,
        `/v1/contacts/${contact}/emails`,
        '/v1/duplicates',
        '/v1/duplicates?limit=2&minScore=0.5',
        '/v1/emails?limit=5',
        '/v1/emails?sort=date&hasAttachment=true',
        '/v1/emails?q=angebot',
        `/v1/emails?contact=${contact}`,
        `/v1/emails?thread=${email}`,
        `/v1/emails/${email}`,
        '/v1/threads',
        `/v1/threads?contact=${other}&limit=2`,
        `/v1/threads/${email}`,
        `/v1/contacts/${contact}/enrichment`,
        `/v1/contacts/${other}/enrichment`,
        '/v1/enrichments',
        '/v1/undos',
        `/v1/undos/${undoIds.at(-1) ?? randomUUID()}`,
        `/v1/events/${events.body.data[0]?.eventId ?? randomUUID()}/causes`,
        `/v1/contacts/${contact}/blame`,
        // Not all of it: that mails are read is in it, too.
        `/v1/audit?limit=5&resource=contact-${contact}`,
        '/v1/erasures',
        `/v1/erasures/${contact}`,
        `/v1/contacts/${contact}/erasure`,
        '/v1/mailboxes',
        '/v1/imports',
        ...importIds.slice(-1).flatMap((id) => [`/v1/imports/${id}`, `/v1/imports/${id}/results`]),
      ]
      const pages = await Promise.all(lists.filter((path) => path.includes('limit=')).map((path) => api.ask('GET', path)))
      const later = pages.flatMap(({ headers }) => /^<(.+)>/.exec(headers.get('link') ?? '')?.[1] ?? [])
      return [...lists, ...later]
    },
  }
}
