import type { FragmentSqlToken } from 'slonik'
import { contactEvents, type Method } from '../schema/contact-events.ts'
import { sql } from '../src/platform/database.ts'
import { projection, type RowWrite, table } from '../src/platform/projection.ts'
import { spellingsOf, type Term, wordsOf, wordsOfMethod } from './words.ts'

const {
  ContactCreated,
  ContactRenamed,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactMergedInto,
  ContactMerged,
  ContactUnmerged,
  ContactUnmergedFrom,
  ContactErased,
} = contactEvents

/**
 * The words by which contacts are found: a row a word, so that a typo is measured against the word alone, however long the name around it, and
 * one index finds names, companies and methods. `field` is where the word stands: name, company, or the id of a method.
 */
export const contactWords = projection({
  name: 'contact-words',
  version: 2,
  tables: {
    contactWords: table(
      ['contactId', 'field', 'word'],
      { contactId: 'uuid', field: 'text', word: 'text', whole: 'boolean' },
      // What waits to be put into the index (4 MB of it, unless told) is read through by every search: at 600 new contacts that took twice the rest.
      'using gin (smartcrm.plain(word) gin_trgm_ops) with (gin_pending_list_limit = 64)',
      'using btree (word, contact_id) where whole',
    ),
  },
  events: {
    ContactCreated,
    ContactRenamed,
    ContactCompanyChanged,
    ContactMethodAdded,
    ContactMethodRemoved,
    ContactMergedInto,
    ContactMerged,
    ContactUnmerged,
    ContactUnmergedFrom,
    ContactErased,
  },
  on: {
    ContactCreated: ({ contactWords }, { contactId, ...said }) => wordsSaid(said).map((row) => contactWords.put({ contactId, ...row })),
    ContactRenamed: (_tables, { contactId, name }) => anew(contactId, { name }),
    ContactCompanyChanged: (_tables, { contactId, company }) => anew(contactId, { company }),
    ContactMethodAdded: ({ contactWords }, { contactId, method }) =>
      wordsOfMethod(method).map((word) => contactWords.put({ contactId, field: method.id, ...word })),
    ContactMethodRemoved: ({ contactWords }, { contactId, methodId }) => [contactWords.remove({ contactId, field: methodId })],
    // It is found as what it is part of.
    ContactMergedInto: ({ contactWords }, { contactId }) => [contactWords.remove({ contactId })],
    ContactMerged: (_tables, { contactId, name, company, methods }) => anew(contactId, { name, company, methods }),
    ContactUnmerged: ({ contactWords }, { contactId, name, company, methods, methodIds }) => [
      ...methodIds.map((methodId) => contactWords.remove({ contactId, field: methodId })),
      ...anew(contactId, { name, company, methods }),
    ],
    ContactUnmergedFrom: ({ contactWords }, { contactId, ...said }) => [
      contactWords.remove({ contactId }),
      ...wordsSaid(said).map((row) => contactWords.put({ contactId, ...row })),
    ],
    ContactErased: ({ contactWords }, { contactId }) => [contactWords.remove({ contactId })],
  },
})

type Said = { name?: string | undefined; company?: string | null | undefined; methods?: readonly Method[] }

const wordsSaid = ({ name, company, methods = [] }: Said) => [
  ...wordsOf(name ?? '').map((word) => ({ field: 'name', ...word })),
  ...wordsOf(company ?? '').map((word) => ({ field: 'company', ...word })),
  ...methods.flatMap((method) => wordsOfMethod(method).map((word) => ({ field: method.id, ...word }))),
]

/** The words of what is said, in the place of those that were there; what is not named stays. */
function anew(contactId: string, said: Said): RowWrite[] {
  const { contactWords: table } = contactWords.tables
  return [
    ...(said.name === undefined ? [] : [table.remove({ contactId, field: 'name' })]),
    ...(said.company === undefined ? [] : [table.remove({ contactId, field: 'company' })]),
    ...wordsSaid(said).map((row) => table.put({ contactId, ...row })),
  ]
}

const words = contactWords.tables.contactWords.sql

/** A select of the ids (`contact_id`) of those who can be reached like this. */
export const reachedBy = (method: string): FragmentSqlToken =>
  sql.fragment`select contact_id from ${words} where whole and word = any(${sql.array(spellingsOf(method), 'text')})`

/** When each term is found in more words than this, matches are not gathered and ranked: going through contacts in their order soon meets enough of them. */
const FEW = 2_000
/**
 * Nor are they looked for in the index where so many of a sample's contacts have words like the term: an index of trigrams goes through all that have them
 * before it gives the first. The sample, of so many words, is one at random, since ids are. Contacts are counted and not words: those of one are alike (a name
 * stands in its address), and to go through contacts in their order for what is rare takes seconds. Below so many words in all no sample is taken.
 */
const [COMMON, SAMPLE, LARGE] = [4, 150, 20_000]

export type Search = {
  /** `found as …` and what it needs, to stand in a `with`: those who match (`contact_id`), and how well (`score`); none where they are many. */
  readonly found: FragmentSqlToken
  readonly areFew: FragmentSqlToken
  /** Whether the contact of a row `c` matches. */
  readonly matches: FragmentSqlToken
}

/**
 * Those for whom every term is found, and how well (the greater the better): the word itself before its beginning, before what is inside it, before a
 * similar one; among equals names before companies before methods.
 */
export function searchOf(terms: readonly Term[]): Search {
  const named = (what: string, index: number) => sql.identifier([`${what}_${index}`])
  const isCommon = (index: number) => sql.fragment`(select ${named('common', index)} from common)`
  const isFew = (index: number) => sql.fragment`(not ${isCommon(index)} and (select count(*) from ${named('term', index)}) <= ${FEW})`
  const list = (each: (term: Term, index: number) => FragmentSqlToken, between: FragmentSqlToken) => sql.join(terms.map(each), between)
  const best = (term: Term) =>
    sql.fragment`max(${scoreOf(term)} * case field when 'name' then 1 when 'company' then 0.9 else 0.8 end) as score`
  const gathered = (term: Term, index: number) => sql.fragment`${named('term', index)} as materialized (
      select contact_id, field, smartcrm.plain(word) as word from ${words} where ${isFound(term)} and not ${isCommon(index)} limit ${FEW + 1})`
  // One term that is in few words is enough to know who is asked about; whether the frequent ones are found is looked up for these alone.
  const candidates = (_: Term, index: number) => sql.fragment`
      select contact_id from ${named('term', index)} where ${isFew(index)}`
  const ranked = (term: Term, index: number) => sql.fragment`
      select contact_id, ${best(term)} from ${named('term', index)} where ${isFew(index)} group by contact_id`
  const lookedUp = (term: Term, index: number) => sql.fragment`
      select contact_id, ${best(term)} from candidates join lateral (
        select field, smartcrm.plain(word) as word from ${words} w where w.contact_id = candidates.contact_id and ${isFound(term)} offset 0
      ) w on true where not (${isFew(index)}) group by contact_id`
  const scored = (term: Term, index: number) => sql.fragment`(
      ${ranked(term, index)} ${terms.length > 1 ? sql.fragment`union all ${lookedUp(term, index)}` : sql.fragment``}
    ) ${named('scored', index)} ${index === 0 ? sql.fragment`` : sql.fragment`using (contact_id)`}`
  const sum = list((_, index) => sql.fragment`${named('scored', index)}.score`, sql.fragment` + `)
  return {
    found: sql.fragment`sample as materialized (
      select contact_id, smartcrm.plain(word) as word from ${words} where (select reltuples from pg_class where oid = (select tableoid from ${words} limit 1)) > ${LARGE}
      order by contact_id, field limit ${SAMPLE}),
    common as materialized (select ${list((term, index) => sql.fragment`count(distinct contact_id) filter (where ${isFound(term, sql.fragment`word`)}) > ${COMMON} as ${named('common', index)}`, sql.fragment`, `)} from sample),
    ${list(gathered, sql.fragment`, `)},
    ${terms.length > 1 ? sql.fragment`candidates as materialized (${list(candidates, sql.fragment` union `)}),` : sql.fragment``}
    found as materialized (select contact_id, (${sum}) / ${terms.length}::int as score from ${list(scored, sql.fragment` join `)})`,
    areFew: sql.fragment`(${list((_, index) => isFew(index), sql.fragment` or `)})`,
    matches: sql.fragment`${list(
      (term) => sql.fragment`(select true from ${words} w where w.contact_id = c.contact_id and ${isFound(term)} limit 1)`,
      sql.fragment` and `,
    )}`,
  }
}

const plain = (text: string) => sql.fragment`smartcrm.plain(${text})`

/** As a pattern for `like`, with what is special in one escaped. */
const pattern = ({ text }: Term) => sql.fragment`regexp_replace(${plain(text)}, '([\\\\%_])', '\\\\\\1', 'g')`

/** @param word in the form of the index; given where it is there already */
function isFound(term: Term, word = sql.fragment`smartcrm.plain(word)`): FragmentSqlToken {
  const inside = sql.fragment`${word} like ${term.inside ? '%' : ''} || ${pattern(term)} || '%'`
  return term.like === null ? inside : sql.fragment`(${inside} or ${word} % ${plain(term.like)})`
}

const scoreOf = (term: Term) => sql.fragment`
  case when word = ${plain(term.text)} then 1
    when word like ${pattern(term)} || '%' then 0.75 + 0.2 * length(${plain(term.text)}) / length(word)
    when word like '%' || ${pattern(term)} || '%' then 0.55 + 0.2 * length(${plain(term.text)}) / length(word)
    else 0.7 * similarity(word, ${plain(term.like ?? term.text)}) end`
