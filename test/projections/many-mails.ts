import { emails } from '../../projections/emails.ts'
import { sql } from '../../src/platform/database.ts'
import type { ReadTables } from './support.ts'

const { tables } = emails

/**
 * Fills the tables of mail as if so many had come from the people `person 1` to `person 5000`, each of three parties, five of them a thread; two in a thousand
 * have the word "rare" in them, and all have "common".
 */
export async function fillMails({ pool }: ReadTables, many: number): Promise<void> {
  const id = sql.fragment`md5('mail' || n)::uuid`
  const at = sql.fragment`timestamptz '2020-01-01Z' + n * interval '30 minutes'`
  const thread = sql.fragment`(select min(md5('mail' || k)::uuid::text)::uuid from generate_series(n - n % 5, n - n % 5 + 4) k)`
  const n = sql.fragment`generate_series(0, ${many - 1}::int) n`
  const party = (place: number) => sql.fragment`'p' || (n * 7919 + ${place}::int * 104729) % 5000 || '@x.example'`
  for (const statement of [
    sql.unsafe`
      insert into ${tables.emails.sql} (email_id, sent, at, date, subject, preview, people, has_attachments, raw, details, event_id, actor)
      select ${id}, n % 3 = 0, ${at}, ${at}, 'Subject ' || n / 5, 'Preview', '{"from":[],"to":[],"cc":[],"bcc":[],"replyTo":[]}', n % 40 = 0,
        '{"sizeBytes":1}', '{"inReplyTo":[],"references":[],"defects":[],"headers":{},"source":"import:x"}', ${id}, 'key:x' from ${n}`,
    sql.unsafe`
      insert into ${tables.emailTexts.sql} (email_id, at, about, text, text_own)
      select ${id}, ${at}, 'Subject ' || n / 5, 'common ' || md5('a' || n) || case when n % 500 = 7 then ' rare ' else ' ' end || repeat(md5('b' || n % 900) || ' ', 25), ''
      from ${n}`,
    sql.unsafe`
      insert into ${tables.emailAttachments.sql} (email_id, attachment_id, place, name, type, size_bytes, sha256, disposition)
      select ${id}, md5(n::text)::uuid, 0, 'name', 'type', 1, '', 'attachment' from ${n}`,
    ...[1, 2, 3].map(
      (place) => sql.unsafe`
      insert into ${tables.emailParties.sql} (email_id, address, sent, counts, at, dated, topic, asks)
      select ${id}, ${party(place)}, n % 3 = 0, true, ${at}, true, md5(n / 5 || ${party(place)})::uuid, false from ${n} on conflict do nothing`,
    ),
    sql.unsafe`insert into ${tables.threadTokens.sql} (email_id, token) select ${id}, md5('t' || n / 5)::uuid from ${n}`,
    sql.unsafe`insert into ${tables.threadMembers.sql} (email_id, thread_id, at) select ${id}, ${thread}, ${at} from ${n}`,
    sql.unsafe`
      insert into ${tables.threads.sql} (thread_id, emails, first_at, last_at, first_email, last_email)
      select thread_id, count(*), min(at), max(at), (array_agg(email_id order by at))[1], (array_agg(email_id order by at desc))[1]
      from ${tables.threadMembers.sql} group by 1`,
    sql.unsafe`
      insert into ${tables.addressOwners.sql} (contact_id, method_id, address)
      select md5('id' || n)::uuid, md5(n || 'm')::uuid, 'p' || n || '@x.example' from generate_series(1, 20000) n`,
    sql.unsafe`
      insert into ${tables.contactStates.sql} (contact_id, archived) select md5('id' || n)::uuid, n % 50 = 0 from generate_series(1, 20000) n`,
    sql.unsafe`
      insert into ${tables.mailStatistics.sql} (contact_id, archived, emails_received, emails_sent, last_email_at)
      select contact_id, archived, 0, 0, max(at) from ${tables.contactStates.sql} join ${tables.addressOwners.sql} using (contact_id)
        left join ${tables.emailParties.sql} using (address) group by 1, 2`,
  ]) {
    await pool.rows(statement)
  }
}
