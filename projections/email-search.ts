import type { FragmentSqlToken } from 'slonik'
import type { TextPart } from '../schema/email-resources.ts'
import { sql } from '../src/platform/database.ts'
import { Invalid } from '../src/platform/refusal.ts'
import { emails } from './emails.ts'

/** Above so many mails with the words, they are not gathered and sorted: going through mails in their order soon meets enough of them. */
const FEW = 5_000
/** Of a long text, what is looked through to show where the words are. */
const SHOWN_CHARACTERS = 20_000

export type Search = {
  /** `found as …`, to stand in a `with`: the mails that match, but no more than tell whether they are few; it stops when it has these. */
  readonly found: FragmentSqlToken
  readonly areFew: FragmentSqlToken
  /** Whether a mail matches. @param emailId in SQL */
  matches(emailId: FragmentSqlToken): FragmentSqlToken
  /** The columns that `toHighlights` reads, of `e`, a row of `emails`. */
  readonly highlights: FragmentSqlToken
}

/**
 * Full-text search of mails: every word (of up to 8) has to begin some word of subject, text, people or names of attachments; case and accents do not count.
 * @throws Invalid when there is nothing to search for
 */
export function searchOf(q: string): Search {
  const words = q.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word))
  if (words.length === 0)
    throw new Invalid([{ path: '/querystring/q', message: 'has nothing to search for: give it at least one letter or digit' }])
  // Each is quoted, so that nothing in it is taken for an operator, and Postgres splits it as it split the text.
  const terms = words.slice(0, 8).map((word) => `'${word.toWellFormed().replaceAll('\\', '\\\\').replaceAll("'", "''")}':*`)
  const query = sql.fragment`to_tsquery('smartcrm.words', ${terms.join(' & ')})`
  const texts = emails.tables.emailTexts.sql
  // One of the words may stand in the subject and another in the text.
  const any = sql.fragment`to_tsquery('smartcrm.words', ${terms.join(' | ')})`
  const headline = (text: FragmentSqlToken, options: string) =>
    sql.fragment`ts_headline('smartcrm.words', translate(${text}, ${START + STOP}, ''), ${any}, ${`StartSel=${START}, StopSel=${STOP}, ${options}`})`
  return {
    // Two steps, so that the planner reckons with all of them, as if there were no limit: misled by that it would read all texts for a rare word.
    found: sql.fragment`
      matching as materialized (select email_id, at from ${texts} where words @@ ${query}),
      found as materialized (select * from matching limit ${FEW + 1})`,
    areFew: sql.fragment`(select count(*) from found) <= ${FEW}`,
    matches: (emailId) => sql.fragment`(select words @@ ${query} from ${texts} x where x.email_id = ${emailId})`,
    highlights: sql.fragment`${headline(sql.fragment`e.subject`, 'HighlightAll=true')} as "subjectFound",
      (select ${headline(sql.fragment`"left"(text, ${SHOWN_CHARACTERS})`, FRAGMENTS)} from ${texts} x where x.email_id = e.email_id) as "textFound"`,
  }
}

const FRAGMENTS = 'MaxFragments=2, MinWords=6, MaxWords=24, FragmentDelimiter=" … "'
/** Private-use characters, which are taken out of the text before. */
const [START, STOP] = ['\uE0F0', '\uE0F1']

/** What Postgres marked, as pieces of plain text. */
export function toParts(marked: string): TextPart[] {
  const parts = marked.split(new RegExp(`[${START}${STOP}]`)).map((text, index) => ({ text, found: index % 2 === 1 }))
  return parts.filter(({ text }) => text !== '')
}
