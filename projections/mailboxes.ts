import { type Static, Type } from '@sinclair/typebox'
import { Mailbox, MailboxPage } from '../schema/mailbox.ts'
import { type CreationPolicy, type ExclusionRules, mailboxEvents, type Visibility } from '../schema/mailbox-events.ts'
import { Id } from '../schema/shared.ts'
import { type Database, sql } from '../src/platform/database.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import { pageParameters, paging, type SortKey } from '../src/platform/page.ts'
import { projection, query, table } from '../src/platform/projection.ts'
import type { MemoryTables } from '../src/platform/rows.ts'
import { syncStatuses } from './mailbox-ledger.ts'

const touched = ({ meta, revision }: RecordedEvent) => ({ updatedAt: meta.at, revision })
const rules: ExclusionRules = { addresses: [], domains: [], labels: [], ownDomain: false }
const policy: CreationPolicy = { create: 'none', skipFreeMail: false, blockedAddresses: [], blockedDomains: [] }
const visibility: Visibility = 'metadata'

/** Mailboxes as they are now. What was fetched from them is another read model's. */
export const mailboxes = projection({
  name: 'mailboxes',
  version: 1,
  tables: {
    mailboxes: table(
      'mailboxId',
      {
        mailboxId: 'uuid',
        provider: 'text',
        address: 'text',
        owner: 'text',
        state: 'text',
        consentCode: 'text',
        consentSince: 'instant',
        aliases: 'json',
        labels: 'json',
        rules: 'json',
        creationPolicy: 'json',
        visibility: 'text',
        createdAt: 'instant',
        connectedAt: 'instant',
        updatedAt: 'instant',
        revision: 'integer',
      },
      'created_at, mailbox_id',
    ),
  },
  events: mailboxEvents,
  on: {
    MailboxConnected: ({ mailboxes }, { mailboxId, owner, provider, address }, event) => {
      const { at, actor } = event.meta
      const connected = { state: 'connected', consentCode: null, consentSince: null, address, connectedAt: at, ...touched(event) }
      if (event.revision > 0) return [mailboxes.patch({ mailboxId, ...connected })]
      const first = { provider, owner: owner ?? actor, aliases: [], labels: [], rules, creationPolicy: policy, visibility, createdAt: at }
      return [mailboxes.put({ mailboxId, ...first, ...connected })]
    },
    MailboxConsentNeeded: ({ mailboxes }, { mailboxId, code }, event) => [
      mailboxes.patch({ mailboxId, state: 'consent-needed', consentCode: code, consentSince: event.meta.at, ...touched(event) }),
    ],
    MailboxDisconnected: ({ mailboxes }, { mailboxId }, event) => [
      mailboxes.patch({ mailboxId, state: 'disconnected', consentCode: null, consentSince: null, ...touched(event) }),
    ],
    MailboxAliasesFound: ({ mailboxes }, { mailboxId, aliases }, event) => [mailboxes.patch({ mailboxId, aliases, ...touched(event) })],
    MailboxLabelsFound: ({ mailboxes }, { mailboxId, labels }, event) => [mailboxes.patch({ mailboxId, labels, ...touched(event) })],
    MailboxRulesChanged: ({ mailboxes }, { mailboxId, rules }, event) => [mailboxes.patch({ mailboxId, rules, ...touched(event) })],
    MailboxCreationPolicyChanged: ({ mailboxes }, { mailboxId, policy }, event) => [
      mailboxes.patch({ mailboxId, creationPolicy: policy, ...touched(event) }),
    ],
    MailboxVisibilityChanged: ({ mailboxes }, { mailboxId, visibility }, event) => [
      mailboxes.patch({ mailboxId, visibility, ...touched(event) }),
    ],
  },
})
const { mailboxes: mailboxTable } = mailboxes.tables

export type MailboxRow = Omit<Mailbox, 'id' | 'consent' | 'sync'> & {
  mailboxId: string
  consentCode: string | null
  consentSince: string | null
}

/** The mailbox that a row says. */
export function toMailbox({ mailboxId, consentCode, consentSince, ...row }: MailboxRow): Mailbox {
  const { provider, address, owner, state, aliases, labels, rules, creationPolicy, visibility, connectedAt, updatedAt, revision } = row
  const consent = consentCode !== null && consentSince !== null ? { code: consentCode, since: consentSince } : null
  return {
    id: mailboxId,
    provider,
    address,
    owner,
    state,
    consent,
    aliases,
    labels,
    rules,
    creationPolicy,
    visibility,
    connectedAt,
    updatedAt,
    revision,
  }
}

/** The mailbox as it is in tables folded in memory, for a command's answer; null when there is none. */
export function mailboxFromMemory(tables: MemoryTables<typeof mailboxes>, id: string): Mailbox | null {
  const row = tables.rows('mailboxes').find(({ mailboxId }) => mailboxId === id)
  return row ? toMailbox(row as unknown as MailboxRow) : null
}

/** Of `m`, a row of `mailboxes`, what `toMailbox` reads. */
const columns = sql.fragment`m.mailbox_id as "mailboxId", m.provider, m.address, m.owner, m.state, m.consent_code as "consentCode",
  m.consent_since as "consentSince", m.aliases, m.labels, m.rules, m.creation_policy as "creationPolicy", m.visibility, m.connected_at as "connectedAt",
  m.updated_at as "updatedAt", m.revision`

const oldestFirst: SortKey[] = [
  { sql: sql.fragment`m.created_at`, kind: 'instant' },
  { sql: sql.fragment`m.mailbox_id`, kind: 'uuid' },
]

const listMailboxes = query({
  operationId: 'listMailboxes',
  path: '/mailboxes',
  summary: 'List mailboxes, those that were connected first first',
  params: Type.Object({}),
  querystring: Type.Object({
    ...pageParameters,
    state: Type.Optional(Type.Index(Mailbox, ['state'])),
  }),
  response: MailboxPage,
  async run(db, { query }): Promise<Static<typeof MailboxPage>> {
    const { state } = query
    const page = paging(query, { keys: oldestFirst, descending: false, scope: ['mailboxes', state] })
    const inState = state === undefined ? sql.fragment`true` : sql.fragment`m.state = ${state}`
    const rows = await db.rows<MailboxRow>(
      sql.unsafe`select ${columns}, ${page.columns} from ${mailboxTable.sql} m where ${inState} and ${page.after} ${page.order}`,
    )
    const statuses = await syncStatuses(
      db,
      rows.map(({ mailboxId }) => mailboxId),
    )
    return page.page(rows, (row) => ({ ...toMailbox(row), sync: statuses.get(row.mailboxId)! }))
  },
})

const getMailbox = query({
  operationId: 'getMailbox',
  path: '/mailboxes/{id}',
  summary: 'A mailbox',
  params: Type.Object({ id: Id }),
  querystring: Type.Object({}),
  response: Mailbox,
  async run(db, { params: { id } }) {
    const [row] = await db.rows<MailboxRow>(sql.unsafe`select ${columns} from ${mailboxTable.sql} m where m.mailbox_id = ${id}`)
    return row ? { ...toMailbox(row), sync: (await syncStatuses(db, [id])).get(id)! } : null
  },
})

/** The addresses and aliases of all mailboxes: nobody makes contacts of these. */
export async function allOwnAddresses(db: Database): Promise<Set<string>> {
  const rows = await db.rows<{ address: string; aliases: string[] }>(sql.unsafe`select address, aliases from ${mailboxTable.sql}`)
  return new Set(rows.flatMap(({ address, aliases }) => [address, ...aliases]))
}

/** The ids of the mailboxes that are to be kept up to date. */
export async function connectedMailboxes(db: Database): Promise<string[]> {
  const rows = await db.rows<{ mailboxId: string }>(
    sql.unsafe`select mailbox_id as "mailboxId" from ${mailboxTable.sql} where state = 'connected'`,
  )
  return rows.map(({ mailboxId }) => mailboxId)
}

export const mailboxQueries = [listMailboxes, getMailbox]
