import { sql } from '../src/platform/database.ts'
import type { Refresh, Row, Table } from '../src/platform/projection.ts'

type Tables = Record<'emailParties' | 'addressOwners' | 'contactStates' | 'mailStatistics', Table>

/**
 * What went between us and each contact, over all of its addresses; a mail counts once, however many of them take part in it. Whatever changed
 * (mails, a contact's addresses, its creation), the contacts that are concerned are counted anew: a walk over their part of an index, for which the
 * many who have one address need not ask which mails were met before.
 */
export const refreshMailStatistics: Refresh<Tables> = {
  writes: ['mailStatistics'],
  from: ['emailParties', 'addressOwners', 'contactStates'],
  anewFrom: ['contactStates'],
  async run(db, { emailParties, addressOwners, contactStates, mailStatistics }, touched) {
    const contactIds = column([...touched('addressOwners'), ...touched('contactStates')], 'contactId')
    const addresses = column(touched('emailParties'), 'address')
    await db.rows(sql.unsafe`
      with touched as (
        select unnest(${sql.array(contactIds, 'uuid')}) as contact_id
        union select o.contact_id from unnest(${sql.array(addresses, 'text')}) a (address) join ${addressOwners.sql} o using (address)
      ), gone as (
        delete from ${mailStatistics.sql} s using touched t
        where s.contact_id = t.contact_id and not exists (select from ${contactStates.sql} c where c.contact_id = t.contact_id)
      ), owned as (
        select contact_id, array_agg(distinct address) as addresses from touched join ${addressOwners.sql} using (contact_id) group by contact_id
      ), counted as (
        select contact_id, m.* from owned, lateral (
          select ${counts} from ${emailParties.sql} p where p.address = addresses[1] and p.counts offset 0
        ) m where cardinality(addresses) = 1
        union all
        select contact_id, m.* from owned, lateral (
          select ${counts} from (
            select distinct email_id, sent, at, dated from ${emailParties.sql} p where p.address = any(addresses) and p.counts
          ) p offset 0
        ) m where cardinality(addresses) > 1
      )
      insert into ${mailStatistics.sql} as s (contact_id, archived, emails_received, emails_sent, last_email_at) 
      select contact_id, c.archived, coalesce(received, 0), coalesce(sent, 0), last_at
      from touched join ${contactStates.sql} c using (contact_id) left join counted using (contact_id)
      on conflict (contact_id) do update
        set archived = excluded.archived, emails_received = excluded.emails_received, emails_sent = excluded.emails_sent,
          last_email_at = excluded.last_email_at
        where (s.archived, s.emails_received, s.emails_sent, s.last_email_at)
          is distinct from (excluded.archived, excluded.emails_received, excluded.emails_sent, excluded.last_email_at)`)
  },
}

const counts = sql.fragment`
  count(*) filter (where not sent) as received, count(*) filter (where sent) as sent, max(at) filter (where dated) as last_at`
const column = (rows: readonly Row[], name: string) => [...new Set(rows.map((row) => row[name] as string))]
