import { domainToASCII } from 'node:url'

/*
 * Texts as words, for finding them again. What is stored and what is searched go through the same functions; accents are left to
 * `smartcrm.plain` in SQL, on both sides too.
 */

/** An entry of an index holds 2,700 bytes at most, and a character takes up to four. */
const MAX_CHARACTERS = 400
const MAX_WORDS = 100

/** @property whole it is all of a way to reach somebody, and not only a part of it */
export type Word = { readonly word: string; readonly whole: boolean }

/** One spelling of what looks the same; nothing that Postgres cannot store. */
const fold = (text: string) =>
  text
    .toWellFormed()
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/\p{Cc}/gu, ' ')
    .trim()

const cut = (text: string) => (text.length <= MAX_CHARACTERS ? text : [...text].slice(0, MAX_CHARACTERS).join(''))

/** `O'Brien, Jean-Luc` → obrien, jean, luc */
const parts = (folded: string) => folded.replaceAll(/['’ʼ]/g, '').match(/[\p{L}\p{M}\p{N}]+/gu) ?? []

/** Chinese, Japanese and others write no spaces between words: there, a word may begin at every letter. */
const begins = (word: string) =>
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Thai}]/u.test(word)
    ? [...word].map((_, n, all) => all.slice(n).join(''))
    : [word]

const digits = (text: string) => text.replaceAll(/\D/g, '')

const unique = (words: readonly string[]) => [...new Set(words.map(cut))].slice(0, MAX_WORDS)

/** The words of a name or company, each once. */
export const wordsOf = (text: string): Word[] => unique(parts(fold(text)).flatMap(begins)).map((word) => ({ word, whole: false }))

/** The words of a way to reach somebody: all its spellings whole (a phone number also by its digits alone), and the parts of the first. */
export function wordsOfMethod({
  type,
  value,
  normalized,
  raw,
}: {
  type: string
  value: string
  normalized?: string
  raw?: string
}): Word[] {
  const spellings = [value, normalized, raw].filter((text) => text !== undefined).map(fold)
  const numbers = type === 'phone' ? spellings.map(digits).filter((number) => number !== '') : []
  const whole = unique([...spellings, ...numbers])
  const split = type === 'phone' ? [] : unique(parts(spellings[0]!).flatMap(begins)).filter((word) => !whole.includes(word))
  return [...whole.map((word) => ({ word, whole: true })), ...split.map((word) => ({ word, whole: false }))]
}

/** The whole words by which somebody is found who can be reached like this, however a phone number is punctuated. */
export function spellingsOf(method: string): string[] {
  const folded = fold(method)
  const [, local, domain] = /^(.+)@([^@]+)$/.exec(folded) ?? []
  const ascii = domain && domainToASCII(domain)
  return unique([folded, ...(ascii ? [`${local}@${ascii}`] : []), ...(isNumber(folded, 3) ? [digits(folded)] : [])])
}

/**
 * @property inside true: it may stand anywhere in a word, false: only at its beginning
 * @property like words similar to this count too
 */
export type Term = { readonly text: string; readonly inside: boolean; readonly like: string | null }

/**
 * What a search text looks for; each of the terms has to be found. A phone number is one term, by its digits and without the leading zeros that
 * only count within a country. Part of an e-mail address is one too; its typos are looked for before the @, since everybody at one provider has the
 * rest alike. Below three characters there is too little for an index to find inside words.
 */
export function termsOf(text: string): Term[] {
  const folded = fold(text)
  if (isNumber(folded, 5)) return [{ text: digits(folded).replace(/^0+/, ''), inside: true, like: null }]
  const chunks = folded.split(/\s+/).map((chunk) => chunk.replaceAll(/^[^\p{L}\p{N}]+|[^\p{L}\p{M}\p{N}]+$/gu, ''))
  const words = chunks.flatMap((chunk) => (chunk.includes('@') ? [chunk] : parts(chunk)))
  return unique(words).slice(0, 8).map(toTerm)
}

function toTerm(text: string): Term {
  const [start] = text.split('@') as [string]
  return { text, inside: [...text].length >= 3, like: [...start].length >= 3 ? start : null }
}

const isNumber = (folded: string, atLeast: number) => /^[\d\s()+./-]+$/.test(folded) && digits(folded).length >= atLeast
