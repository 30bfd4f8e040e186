import { audit } from '../../projections/audit.ts'
import { contactWords } from '../../projections/contact-words.ts'
import { contacts } from '../../projections/contacts.ts'
import { duplicates } from '../../projections/duplicates.ts'
import { emails } from '../../projections/emails.ts'
import { enrichment } from '../../projections/enrichment.ts'
import { imports } from '../../projections/imports.ts'
import { timeline } from '../../projections/timeline.ts'
import { type Pool, type Query, sql } from '../../src/platform/database.ts'
import { raw } from '../../src/platform/table-statements.ts'

export type Many = { readonly contacts: number; readonly mails: number }

const { tables } = emails
const { contacts: people, contactMethods, contactMerges } = contacts.tables
const words = contactWords.tables.contactWords.sql

/**
 * Fills the read tables as if there were so many contacts with made-up names of letters, and so many mails from a quarter of them, each of three
 * parties, five of them a thread; two in a thousand have the word "rare" in them, and all have "common". Imports, too: a tenth of a hundredth as many
 * as mails, with a hundred results each; and an entry of the audit for each mail. Indexes are made when the rows are there, which is quicker.
 */
export async function fillTables(pool: Pool, many: Many): Promise<void> {
  const indexes = await pool.rows<{ name: string; definition: string }>(sql.unsafe`
    select indexname as name, indexdef as definition from pg_indexes where schemaname = 'read' and indexname not like '%_pkey'`)
  for (const { name } of indexes) await pool.rows(sql.unsafe`drop index ${sql.identifier(['read', name])}`)
  for (const statement of statements(many)) await pool.rows(statement)
  for (const { definition } of indexes) await pool.rows(sql.unsafe`${raw(definition)}`)
  // So that what an index alone can answer is answered by it.
  await pool.rows(sql.unsafe`vacuum analyze`)
}

function statements({ contacts, mails }: Many): Query[] {
  const id = sql.fragment`md5('mail' || n)::uuid`
  const at = sql.fragment`timestamptz '2020-01-01Z' + n * interval '30 minutes'`
  const thread = sql.fragment`(select min(md5('mail' || k)::uuid::text)::uuid from generate_series(n - n % 5, n - n % 5 + 4) k)`
  const n = sql.fragment`generate_series(0, ${mails - 1}::int) n`
  const party = (place: number) => sql.fragment`'p' || (n * 7919::bigint + ${place}::int * 104729) % ${contacts / 4}::int || '@x.example'`
  const letters = (seed: string, length: number) =>
    sql.fragment`initcap(translate(left(md5(${seed} || n), ${length}), '0123456789', 'ghijklmnop'))`
  return [
    sql.unsafe`
      insert into ${people.sql} (contact_id, name, company, archived, created_at, updated_at, revision)
      select md5('id' || n)::uuid, ${letters('first', 6)} || ' ' || ${letters('last', 8)}, 'Company ' || n % 700, n % 50 = 0,
        timestamptz '2026-01-01Z' + n / 3 * interval '1 minute', timestamptz '2026-02-01Z' + n * 7919::bigint % ${contacts}::int * interval '1 minute', 0
      from generate_series(1, ${contacts}::int) n`,
    sql.unsafe`
      insert into ${contactMethods.sql} (contact_id, method_id, added_in, place, type, value, normalized)
      select contact_id, contact_id, 0, 0, 'email', address, address
      from ${people.sql}, lateral (select replace(lower(name), ' ', '.') || '@' || md5(name) || '.example') a (address)`,
    sql.unsafe`
      insert into ${words} (contact_id, field, word, whole)
      select contact_id, 'name', word, false from ${people.sql}, regexp_split_to_table(lower(name), ' ') word
      union select contact_id, 'company', word, false from ${people.sql}, regexp_split_to_table(lower(company), ' ') word
      union select contact_id, method_id::text, value, true from ${contactMethods.sql}
      union select contact_id, method_id::text, word, false from ${contactMethods.sql}, regexp_split_to_table(value, '[@.]') word`,
    sql.unsafe`
      insert into ${timeline.tables.timeline.sql} (contact_id, revision, event_id, kind, at, actor, details)
      select contact_id, n, contact_id, 'archived', created_at, 'key:test', '{}' from ${people.sql}, generate_series(0, 2) n`,
    sql.unsafe`
      insert into ${timeline.tables.timelineMethods.sql} (contact_id, method_id, method) select contact_id, contact_id, '{}' from ${people.sql}`,
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
      select ${id}, md5(n::text)::uuid, 0, 'name', 'type', 1, '', 'attachment' from ${n} where n % 40 = 0`,
    sql.unsafe`
      insert into ${tables.emailParties.sql} (email_id, address, sent, counts, at, dated, topic, asks)
      select ${id}, address, n % 3 = 0, true, ${at}, true, md5(n / 5 || address)::uuid, false
      from ${n}, lateral (values (${party(1)}), (${party(2)}), (${party(3)})) p (address) on conflict do nothing`,
    sql.unsafe`insert into ${tables.threadTokens.sql} (email_id, token) select ${id}, md5('t' || n / 5)::uuid from ${n}`,
    sql.unsafe`insert into ${tables.threadMembers.sql} (email_id, thread_id, at) select ${id}, ${thread}, ${at} from ${n}`,
    sql.unsafe`
      insert into ${tables.threads.sql} (thread_id, emails, first_at, last_at, first_email, last_email)
      select thread_id, count(*), min(at), max(at), (array_agg(email_id order by at))[1], (array_agg(email_id order by at desc))[1]
      from ${tables.threadMembers.sql} group by 1`,
    sql.unsafe`
      insert into ${tables.addressOwners.sql} (contact_id, method_id, address)
      select md5('id' || n)::uuid, md5(n || 'm')::uuid, 'p' || n || '@x.example' from generate_series(1, ${contacts}::int) n`,
    sql.unsafe`
      insert into ${tables.contactStates.sql} (contact_id, archived) select contact_id, archived from ${people.sql}`,
    sql.unsafe`
      insert into ${tables.mailStatistics.sql} (contact_id, archived, emails_received, emails_sent, last_email_at)
      select contact_id, archived, 0, 0, max(at) from ${tables.contactStates.sql} join ${tables.addressOwners.sql} using (contact_id)
        left join ${tables.emailParties.sql} using (address) group by 1, 2`,
    sql.unsafe`
      insert into ${imports.tables.imports.sql} (import_id, job_id, key_id, kind, size_bytes, sha256, me, map, state, done, read_bytes, counts, actor, started_at)
      select ${importId}, ${importId}, ${importId}, 'mbox', 1, repeat(md5((n / 2)::text), 2), '[]', '[]', case n % 100 when 0 then 'running' else 'finished' end,
        100, 1, '{}', 'key:x', ${at} from generate_series(0, ${mails / 1_000}::int) n`,
    sql.unsafe`
      insert into ${imports.tables.importResults.sql} (import_id, item, outcome, email_id)
      select ${importId}, item, case item % 50 when 0 then 'failed' else 'stored' end, ${importId}
      from generate_series(0, ${mails / 1_000}::int) n, generate_series(1, case n when 1 then 30000 else 100 end) item`,
    sql.unsafe`
      insert into ${enrichment.tables.enrichments.sql} (enrichment_id, contact_id, job_id, reason, bulk_id, state, found, micro_usd, actor, requested_at)
      select md5('enrichment' || n)::uuid, md5('id' || n)::uuid, ${importId}, 'bulk', md5('import' || n / 200)::uuid,
        case n % 50 when 0 then 'failed' else 'enriched' end, 1, 5, 'key:x', ${at} from generate_series(1, ${contacts}::int) n`,
    sql.unsafe`
      insert into ${enrichment.tables.enrichmentCalls.sql} (enrichment_id, call_id, vendor, sent, content_sha256, micro_usd, at)
      select enrichment_id, job_id, 'openai', '[]', '', 5, requested_at from ${enrichment.tables.enrichments.sql}`,
    sql.unsafe`
      insert into ${enrichment.tables.enrichmentValues.sql} (contact_id, value_id, enrichment_id, field, details, proposed_at, proposed_in, place)
      select contact_id, enrichment_id, enrichment_id, 'jobTitle', '{"value":"x","confidence":1,"evidence":null,"isSupported":true,"source":{"kind":"mail"}}', requested_at, 1, 0
      from ${enrichment.tables.enrichments.sql}`,
    sql.unsafe`
      insert into ${enrichment.tables.enrichmentFields.sql} (contact_id, field, own, own_in)
      select contact_id, 'company', '["x"]', 0 from ${enrichment.tables.enrichments.sql}`,
    sql.unsafe`
      insert into ${audit.tables.auditEntries.sql} (event_id, item, commit_position, prepare_position, recorded_at, at, actor, type, resource, command_id,
        correlation_id, causation_id)
      select ${id}, 0, n, n, ${at}, ${at}, 'key:' || n % 100, 'NoteAdded', 'contact-' || md5('id' || n % 5000)::uuid, md5('command' || n / 3)::uuid,
        md5('command' || n / 100)::uuid, md5('mail' || n / 2)::uuid
      from ${n}`,
    // A few are part of others, and a twentieth may be the same as the one after it.
    sql.unsafe`
      insert into ${contactMerges.sql} (contact_id, from_id, merged_in, place)
      select md5('id' || n + 1)::uuid, md5('id' || n)::uuid, 1, 0 from generate_series(3, ${contacts - 1}::int, 200) n`,
    sql.unsafe`update ${people.sql} c set merged_into = m.contact_id from ${contactMerges.sql} m where m.from_id = c.contact_id`,
    sql.unsafe`
      insert into ${duplicates.tables.duplicateKeys.sql} (contact_id, source, kind, key)
      select contact_id, 'name', 'name', lower(name) from ${people.sql}
      union all select contact_id, 'company', 'company', lower(company) from ${people.sql}`,
    sql.unsafe`
      insert into ${duplicates.tables.duplicatePairs.sql} (contact_id, other_id, score, reasons)
      select least(a, b), greatest(a, b), n * 7919::bigint % 700 + 300, '["same-phone"]'
      from generate_series(1, ${contacts}::int, 20) n, lateral (values (md5('id' || n)::uuid, md5('id' || n + 1)::uuid)) p (a, b)`,
    sql.unsafe`
      insert into ${duplicates.tables.dismissedDuplicates.sql} (contact_id, other_id)
      select contact_id, md5('other' || contact_id)::uuid from ${duplicates.tables.duplicatePairs.sql}`,
  ]
}
const importId = sql.fragment`md5('import' || n)::uuid`
