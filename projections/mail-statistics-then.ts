import { type Database, sql } from '../src/platform/database.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import type { Position } from '../src/platform/position.ts'
import { foldInMemory } from '../src/platform/rows.ts'
import { audit } from './audit.ts'
import type { MailStatistics } from './contacts.ts'
import { emails } from './emails.ts'
import { mailRemovals } from './mail-removals.ts'

/** Mails that were there and were taken away since are read one by one, whosever they are; more of them are too many. */
const MOST_LOADED = 200
/** Of those that were taken away since, so many are asked after whether they were there at all. */
const MOST_SINCE = 20_000
const AT_ONCE = 10

type PartyRow = { emailId: string; address: string; sent: boolean; counts: boolean; at: string; dated: boolean }
type Counted = { received: number; sent: number; lastAt: string | null; since: number; removed: string[] }

/**
 * What mail said of a contact at a past position, without tables of it. Its own events tell which addresses it had. A mail that is in the tables and was
 * recorded by then was in them, as it is now: what makes it another takes it away first. Those that were taken away since tell of themselves.
 * @param contactEvents of the contact, up to the position
 * @param db live tables that have come at least that far
 * @param loadThen the events of a stream up to the position, as they are read now
 * @returns null where too much mail was taken away since
 */
export async function mailStatisticsThen(
  db: Database,
  contactEvents: readonly RecordedEvent[],
  { commit, prepare }: Position,
  loadThen: (stream: string) => Promise<readonly RecordedEvent[]>,
): Promise<MailStatistics | null> {
  const addresses = [
    ...new Set(
      foldInMemory(emails, contactEvents)
        .rows('addressOwners')
        .map(({ address }) => address as string),
    ),
  ]
  if (addresses.length === 0) return { emailsReceived: 0, emailsSent: 0, lastEmailAt: null }
  const isThen = (row: 'a' | 'b') => {
    const name = sql.identifier([row])
    return sql.fragment`(${name}.commit_position, ${name}.prepare_position) <= (${commit}::bigint, ${prepare}::bigint)`
  }
  // One statement, so that each mail is in just one of the two: still there, or taken away since and there by then.
  const [now] = await db.rows<Counted>(sql.unsafe`
    with since as materialized (
      select email_id from ${mailRemovals.tables.mailRemovals.sql} where (commit_position, prepare_position) > (${commit}::bigint, ${prepare}::bigint)
      order by commit_position, prepare_position limit ${MOST_SINCE + 1}
    ), parties as (
      select distinct email_id, sent, at, dated from ${emails.tables.emailParties.sql}
      where address = any(${sql.array(addresses, 'text')}) and counts
    )
    select count(*) filter (where not p.sent)::int as received, count(*) filter (where p.sent)::int as sent, max(p.at) filter (where p.dated) as "lastAt",
      (select count(*)::int from since) as since, array(
        select distinct s.email_id::text from since s where exists (
          select from ${audit.tables.auditEntries.sql} b where b.resource = 'email-' || s.email_id and b.operation is null and ${isThen('b')})
        limit ${MOST_LOADED + 1}) as removed
    from parties p join ${emails.tables.emails.sql} e using (email_id) join ${audit.tables.auditEntries.sql} a on a.event_id = e.event_id and ${isThen('a')}`)
  const { removed, since, ...counted } = now!
  if (since > MOST_SINCE || removed.length > MOST_LOADED) return null

  let { received, sent, lastAt } = counted
  for (let from = 0; from < removed.length; from += AT_ONCE) {
    const streams = await Promise.all(removed.slice(from, from + AT_ONCE).map((id) => loadThen(`email-${id}`)))
    for (const events of streams) {
      const parties = foldInMemory(emails, events).rows('emailParties') as PartyRow[]
      const party = parties.find(({ address, counts }) => counts && addresses.includes(address))
      if (!party) continue
      if (party.sent) sent += 1
      else received += 1
      if (party.dated && (lastAt === null || Date.parse(party.at) > Date.parse(lastAt))) lastAt = party.at
    }
  }
  return { emailsReceived: received, emailsSent: sent, lastEmailAt: lastAt }
}
