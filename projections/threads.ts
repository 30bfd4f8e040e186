import { hash as digest } from 'node:crypto'
import type { emailEvents } from '../schema/email-events.ts'
import { type Database, sql } from '../src/platform/database.ts'
import type { Refresh, Table } from '../src/platform/projection.ts'
import { remembered } from '../src/platform/remembered.ts'
import { toUuid } from '../src/platform/uuid.ts'
import { baseSubject } from './base-subject.ts'
import { makeThreads } from './threads-anew.ts'
import { createUnion } from './union.ts'

/*
 * Which mails make one thread. Two belong together when they share a token: a message id that one has and the other names, or a provider's thread. Only a
 * reply that names no other mail is joined by its subject: to the mail just before it, of the last 30 days, with the same base subject and with
 * who answers among its parties. A thread is what hangs together, directly or not, so it does not matter in which order mails arrive, whether
 * one of them is missing, comes twice under one id, or names itself.
 *
 * A thread's id is the smallest id of its mails. It changes when a mail with a smaller one joins (of n mails in any order that happens about ln n
 * times) or when that mail is removed; every mail's id leads to its thread, so an id that was given up for a smaller one still does.
 */

type Email = ReturnType<typeof emailEvents.EmailReceived>['data']
export type ThreadTables = Record<'emails' | 'emailParties' | 'threadTokens' | 'threadMembers' | 'threads', Table>
type Tables = ThreadTables

/** Hashes: equal things are found by them, and an index over them tells nobody's address. */
const hash = (...parts: string[]) => hashOf(JSON.stringify(parts))
const hashOf = remembered((text) => toUuid(digest('sha256', text, 'buffer').subarray(0, 16), 8), 5_000)

/** Programs disagree about the case of message ids, and write brackets or not. */
const normalise = (messageId: string) =>
  messageId
    .trim()
    .replace(/^<+|>+$/g, '')
    .trim()
    .toLowerCase()

/** A long thread's mails name all before them: the first, which all have, and so many of the last tell as much. */
const LAST_REFERENCES = 20

/** What a mail shares with those of its thread; its own token comes first, so that there is always one. */
export function threadTokens({ emailId, messageId, inReplyTo, references, source, providerThreadId }: Email): string[] {
  const named = [...references.slice(0, 1), ...references.slice(1).slice(-LAST_REFERENCES), ...inReplyTo.slice(0, LAST_REFERENCES)]
  const ids = [messageId ?? '', ...named].map(normalise).filter((id) => id !== '')
  const tokens = ids.map((id) => hash('message', id))
  // A provider numbers threads for each mailbox.
  if (providerThreadId !== undefined) tokens.push(hash('provider', source, providerThreadId))
  return [...new Set(tokens.length > 0 ? tokens : [hash('email', emailId)])]
}

const baseOf = remembered(baseSubject)

/** What a mail is about with somebody (null: nothing that could be asked for), and whether it looks for the mail before it by that. */
export function topicOf({ subject, date, inReplyTo, references, providerThreadId }: Omit<Email, 'text' | 'textOwn' | 'html' | 'raw'>) {
  const { base, isReply } = baseOf(subject)
  const hasTopic = base !== '' && date !== null
  return {
    of: (address: string) => (hasTopic ? hash('topic', base, address) : null),
    asks: hasTopic && isReply && inReplyTo.length === 0 && references.length === 0 && providerThreadId === undefined,
  }
}

const uuids = (ids: Iterable<string>) => sql.array([...ids], 'uuid')
/**
 * As `k (id)`, to look each up by an index: of tables that nobody has counted yet, as in a first import, Postgres takes `= any` for half of the rows, and reads
 * them all.
 */
const eachOf = (ids: Iterable<string>) => sql.fragment`unnest(${uuids(ids)}) k (id)`

/**
 * Mails that are new are joined to the threads that share something with them, in a number of statements that does not depend on the threads' size.
 * Where a link may have gone (a mail was removed or told anew, or a new one came between a reply and what it was joined to by subject),
 * the thread is torn: its mails are put together again from nothing.
 */
export const refreshThreads: Refresh<Tables> = {
  writes: ['threadMembers', 'threads'],
  from: ['emails'],
  anew: makeThreads,
  async run(db, tables, touched) {
    const arrived = touched('emails').map(({ emailId }) => emailId as string)
    const links = await topicLinks(db, tables, arrived)
    const torn = new Set((await threadsOf(db, tables, [...arrived, ...links.loosened])).values())
    const ofTorn = await membersOf(db, tables, torn)
    const loose = new Set([...arrived, ...ofTorn])
    const pairs = torn.size === 0 ? links.pairs : (await topicLinks(db, tables, [...loose])).pairs
    const tokens = await tokensOf(db, tables, loose)
    const byToken = await threadsByToken(db, tables, new Set([...tokens.values()].flat()), torn)
    const outside = await threadsOf(db, tables, new Set(pairs.flat().filter((id) => !tokens.has(id))))

    const union = createUnion()
    for (const [emailId, ofEmail] of tokens) for (const token of ofEmail) union.join(emailId, `token ${token}`)
    for (const [token, threadId] of byToken) union.join(`token ${token}`, threadId)
    for (const pair of pairs) union.join(...(pair.map((id) => outside.get(id) ?? id) as [string, string]))

    // The nodes that are ids: loose mails, and threads that stay whole and are called by the least of their own mails.
    const ids = union.nodes().filter((node) => !node.startsWith('token '))
    const least = new Map<string, string>()
    for (const id of ids.sort()) if (!least.has(union.root(id))) least.set(union.root(id), id)
    const members = [...tokens.keys()].map((emailId): Named => [emailId, least.get(union.root(emailId))!])
    const named = ids.filter((id) => !tokens.has(id)).map((id): Named => [id, least.get(union.root(id))!])
    const renamed = named.filter(([before, now]) => before !== now)
    const gone = [...loose].filter((id) => !tokens.has(id))
    await storeMembers(db, tables, members, renamed, gone)
    await storeThreads(db, tables, new Set([...torn, ...members.map(([, threadId]) => threadId), ...renamed.flat()]))
  },
}

type Named = [id: string, threadId: string]

/**
 * The pairs of mails that a subject joins, of which these mails are one: a reply that asks and the mail just before it.
 * @returns loosened: replies that one of these mails may have come between and what they were joined to
 */
async function topicLinks(db: Database, { emailParties }: Tables, emailIds: readonly string[]) {
  const beside = (order: 'before' | 'after') => sql.fragment`
    select email_id, at, asks from ${emailParties.sql} o
    where o.topic = p.topic and (o.at, o.email_id) ${order === 'before' ? sql.fragment`<` : sql.fragment`>`} (p.at, p.email_id)
    order by at ${order === 'before' ? sql.fragment`desc, email_id desc` : sql.fragment`, email_id`} limit 1`
  const rows = await db.rows<{ id: string; before: string | null; after: string | null; between: boolean }>(sql.unsafe`
    select p.email_id as id,
      case when p.asks and b.at >= p.at - interval '30 days' then b.email_id end as before,
      case when a.asks and a.at <= p.at + interval '30 days' then a.email_id end as after,
      coalesce(a.asks and b.at >= a.at - interval '30 days', false) as between
    from ${eachOf(emailIds)}, lateral (
        select * from ${emailParties.sql} p where p.email_id = k.id and p.topic is not null offset 0
      ) p left join lateral (${beside('before')}) b on true left join lateral (${beside('after')}) a on true
    where p.asks or a.asks`)
  const pairs = rows.flatMap(({ id, before, after }) =>
    [before, after].flatMap((other): [string, string][] => (other ? [[id, other]] : [])),
  )
  return { pairs, loosened: rows.flatMap(({ after, between }) => (after && between ? [after] : [])) }
}

/** The thread of each of the mails that is in one. */
async function threadsOf(db: Database, { threadMembers }: Tables, emailIds: Iterable<string>): Promise<Map<string, string>> {
  const rows = await db.rows<{ id: string; threadId: string }>(
    sql.unsafe`select email_id as id, thread_id as "threadId" from ${threadMembers.sql} where email_id = any(${uuids(emailIds)})`,
  )
  return new Map(rows.map(({ id, threadId }) => [id, threadId]))
}

async function membersOf(db: Database, { threadMembers }: Tables, threadIds: ReadonlySet<string>): Promise<string[]> {
  if (threadIds.size === 0) return []
  const rows = await db.rows<{ id: string }>(
    sql.unsafe`select m.* from ${eachOf(threadIds)}, lateral (select email_id as id from ${threadMembers.sql} m where m.thread_id = k.id offset 0) m`,
  )
  return rows.map(({ id }) => id)
}

/** The tokens of those of the mails that are there. Each has one at least. */
async function tokensOf(db: Database, { threadTokens }: Tables, emailIds: Iterable<string>): Promise<Map<string, string[]>> {
  const rows = await db.rows<{ id: string; tokens: string[] }>(sql.unsafe`
    select k.id, t.tokens from ${eachOf(emailIds)}, lateral (
      select array_agg(token) as tokens from ${threadTokens.sql} t where t.email_id = k.id offset 0
    ) t where t.tokens is not null`)
  return new Map(rows.map(({ id, tokens }) => [id, tokens]))
}

/** The thread in which a token is found already, the torn ones aside. All mails with a token are in the same, so one of them tells. */
async function threadsByToken(db: Database, tables: Tables, tokens: Iterable<string>, torn: Iterable<string>): Promise<Named[]> {
  const rows = await db.rows<{ token: string; threadId: string }>(sql.unsafe`
    select k.token, m.thread_id as "threadId" from unnest(${uuids(tokens)}) k (token), lateral (
      select m.thread_id from (select email_id from ${tables.threadTokens.sql} t where t.token = k.token offset 0) t, lateral (
        select thread_id from ${tables.threadMembers.sql} m where m.email_id = t.email_id and m.thread_id <> all(${uuids(torn)}) offset 0
      ) m limit 1
    ) m`)
  return rows.map(({ token, threadId }) => [token, threadId])
}

async function storeMembers(db: Database, tables: Tables, members: readonly Named[], renamed: readonly Named[], gone: readonly string[]) {
  const { emails, threadMembers } = tables
  if (gone.length > 0) await db.rows(sql.unsafe`delete from ${threadMembers.sql} where email_id = any(${uuids(gone)})`)
  if (members.length > 0) {
    await db.rows(sql.unsafe`
      insert into ${threadMembers.sql} as m (email_id, thread_id, at)
      select e.email_id, k.thread_id, e.at from ${sql.unnest(members, ['uuid', 'uuid'])} k (email_id, thread_id) join ${emails.sql} e using (email_id)
      on conflict (email_id) do update set thread_id = excluded.thread_id, at = excluded.at
        where (m.thread_id, m.at) is distinct from (excluded.thread_id, excluded.at)`)
  }
  if (renamed.length > 0) {
    await db.rows(sql.unsafe`
      update ${threadMembers.sql} m set thread_id = k.now from ${sql.unnest(renamed, ['uuid', 'uuid'])} k (before, now) where m.thread_id = k.before`)
  }
}

async function storeThreads(db: Database, { threads, threadMembers }: Tables, threadIds: Iterable<string>): Promise<void> {
  const ofThread = sql.fragment`${threadMembers.sql} m where m.thread_id = k.thread_id`
  await db.rows(sql.unsafe`
    with k as (select unnest(${uuids(threadIds)}) as thread_id),
      gone as (delete from ${threads.sql} t using k where t.thread_id = k.thread_id and not exists (select from ${ofThread}))
    insert into ${threads.sql} (thread_id, emails, first_at, last_at, first_email, last_email)
    select k.thread_id, c.emails, f.at, l.at, f.email_id, l.email_id
    from k, lateral (select count(*) as emails from ${ofThread}) c,
      lateral (select at, email_id from ${ofThread} order by at, email_id limit 1) f,
      lateral (select at, email_id from ${ofThread} order by at desc, email_id desc limit 1) l
    on conflict (thread_id) do update set emails = excluded.emails, first_at = excluded.first_at, last_at = excluded.last_at,
      first_email = excluded.first_email, last_email = excluded.last_email`)
}
