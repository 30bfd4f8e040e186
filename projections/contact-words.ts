import type { FragmentSqlToken } from 'slonik'
import { contactEvents } from '../schema/contact-events.ts'
import { sql } from '../src/platform/database.ts'
import { projection, table } from '../src/platform/projection.ts'
import { spellingsOf, type Term, wordsOf, wordsOfMethod } from './words.ts'

const { ContactCreated, ContactRenamed, ContactCompanyChanged, ContactMethodAdded, ContactMethodRemoved } = contactEvents

/**
 * The words by which contacts are found: a row a word, so that a typo is measured against the word alone, however long the name around it, and
 * one index finds names, companies and methods. `field` is where the word stands: name, company, or the id of a method.
 */
export const contactWords = projection({
  name: 'contact-words',
  version: 1,
  tables: {
    contactWords: table(
      ['contactId', 'field', 'word'],
      { contactId: 'uuid', field: 'text', word: 'text', whole: 'boolean' },
      'using gin (smartcrm.plain(word) gin_trgm_ops)',
      'using btree (word, contact_id) where whole',
    ),
  },
  events: { ContactCreated, ContactRenamed, ContactCompanyChanged, ContactMethodAdded, ContactMethodRemoved },
  on: {
    ContactCreated: ({ contactWords }, { contactId, name, company, methods }) =>
      [
        ...wordsOf(name).map((word) => ({ field: 'name', ...word })),
        ...wordsOf(company ?? '').map((word) => ({ field: 'company', ...word })),
        ...methods.flatMap((method) => wordsOfMethod(method).map((word) => ({ field: method.id, ...word }))),
      ].map((row) => contactWords.put({ contactId, ...row })),
    ContactRenamed: ({ contactWords }, { contactId, name }) => [
      contactWords.remove({ contactId, field: 'name' }),
      ...wordsOf(name).map((word) => contactWords.put({ contactId, field: 'name', ...word })),
    ],
    ContactCompanyChanged: ({ contactWords }, { contactId, company }) => [
      contactWords.remove({ contactId, field: 'company' }),
      ...wordsOf(company ?? '').map((word) => contactWords.put({ contactId, field: 'company', ...word })),
    ],
    ContactMethodAdded: ({ contactWords }, { contactId, method }) =>
      wordsOfMethod(method).map((word) => contactWords.put({ contactId, field: method.id, ...word })),
    ContactMethodRemoved: ({ contactWords }, { contactId, methodId }) => [contactWords.remove({ contactId, field: methodId })],
  },
})

const words = contactWords.tables.contactWords.sql

/** A select of the ids (`contact_id`) of those who can be reached like this. */
export const reachedBy = (method: string): FragmentSqlToken =>
  sql.fragment`select contact_id from ${words} where whole and word = any(${sql.array(spellingsOf(method), 'text')})`

/**
 * A select of the ids (`contact_id`) of those for whom every term is found, and how well (`score`, the greater the better): the word itself
 * before its beginning, before what is inside it, before a similar one; among equals names before companies before methods.
 */
export function foundBy(terms: readonly Term[]): FragmentSqlToken {
  const name = (index: number) => sql.identifier([`term_${index}`])
  // Joined and not counted: the planner then expects about as many as the rarest term has, and not one.
  const each = terms.map(
    (term, index) => sql.fragment`(
    select contact_id, max(${scoreOf(term)} * case field when 'name' then 1 when 'company' then 0.9 else 0.8 end) as score
    from (select contact_id, field, smartcrm.plain(word) as word from ${words} where ${isFound(term)} offset 0) found
    group by contact_id) ${name(index)} ${index === 0 ? sql.fragment`` : sql.fragment`using (contact_id)`}`,
  )
  const sum = sql.join(
    terms.map((_, index) => sql.fragment`${name(index)}.score`),
    sql.fragment` + `,
  )
  return sql.fragment`select contact_id, (${sum}) / ${terms.length}::int as score from ${sql.join(each, sql.fragment` join `)}`
}

const plain = (text: string) => sql.fragment`smartcrm.plain(${text})`

/** As a pattern for `like`, with what is special in one escaped. */
const pattern = ({ text }: Term) => sql.fragment`regexp_replace(${plain(text)}, '([\\\\%_])', '\\\\\\1', 'g')`

function isFound(term: Term): FragmentSqlToken {
  const inside = sql.fragment`smartcrm.plain(word) like ${term.inside ? '%' : ''} || ${pattern(term)} || '%'`
  return term.like === null ? inside : sql.fragment`(${inside} or smartcrm.plain(word) % ${plain(term.like)})`
}

const scoreOf = (term: Term) => sql.fragment`
  case when word = ${plain(term.text)} then 1
    when word like ${pattern(term)} || '%' then 0.75 + 0.2 * length(${plain(term.text)}) / length(word)
    when word like '%' || ${pattern(term)} || '%' then 0.55 + 0.2 * length(${plain(term.text)}) / length(word)
    else 0.7 * similarity(word, ${plain(term.like ?? term.text)}) end`
