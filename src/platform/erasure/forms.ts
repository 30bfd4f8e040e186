/**
 * Something to be looked for.
 * @property kind what it is called in a finding, since the value is not
 * @property eachWord where a column holds nothing but one of its words, that counts too: such a word may be somebody else's as well
 */
export type Sought = { readonly kind: string; readonly value: string; readonly eachWord?: boolean }

/** How one value may be written. `plain` is compared without regard to case, both sides in lower case; `exact` letter by letter. */
export type Forms = Sought & { readonly plain: readonly string[]; readonly exact: readonly string[]; readonly words: readonly string[] }

/** Anything shorter would be found everywhere. */
export const MIN_LETTERS = 4

/** Such a value says nothing of anybody where it is found. */
export const isTooShort = ({ value }: Sought): boolean => [...value.trim()].length < MIN_LETTERS

/** The ways in which values are written: as they are, in JSON, in addresses, in mails, and encoded. */
export const formsOf = (sought: readonly Sought[]): Forms[] =>
  sought
    .filter((each) => !isTooShort(each))
    .map(({ kind, value: given, eachWord = false }) => {
      const value = given.trim()
      const lower = value.toLowerCase()
      const json = JSON.stringify(value).slice(1, -1)
      const plain = [
        lower,
        json,
        asciiJson(value),
        encodeURIComponent(wellFormed(value)),
        quotedPrintable(value),
        value.normalize('NFD'),
        withoutMarks(value),
      ]
      return {
        kind,
        value,
        eachWord,
        plain: unique(plain.map((form) => form.toLowerCase())).filter((form) => !isTooShort({ kind, value: form })),
        exact: unique([...base64Forms(value), ...base64Forms(lower)]),
        words: unique(lower.normalize('NFKC').match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => [...word].length >= MIN_LETTERS),
      }
    })

const unique = (texts: readonly string[]): string[] => [...new Set(texts)]
const wellFormed = (text: string) => text.toWellFormed()

/** As JSON that is kept to ASCII. */
const asciiJson = (value: string) =>
  JSON.stringify(value)
    .slice(1, -1)
    .replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** RFC 2045 §6.7, without the soft line breaks, which fall anywhere. */
const quotedPrintable = (value: string) =>
  [...Buffer.from(value)]
    .map((byte) => (byte >= 0x20 && byte < 0x7f && byte !== 0x3d ? String.fromCharCode(byte) : `=${byte.toString(16).padStart(2, '0')}`))
    .join('')

/** As a search that forgives accents has it. */
const withoutMarks = (value: string) => value.normalize('NFD').replaceAll(/\p{M}/gu, '')

/** Base64 of a text that has this in it: three ways, by where in a group of three bytes it begins, without the letters that its neighbours have a part in. */
function base64Forms(value: string): string[] {
  const bytes = Buffer.from(value)
  return [0, 1, 2]
    .map((offset) => {
      const text = Buffer.concat([Buffer.alloc(offset), bytes])
        .toString('base64')
        .replace(/=+$/, '')
      const whole = Math.floor(((offset + bytes.length) * 8) / 6)
      return text.slice(offset === 0 ? 0 : offset + 1, whole)
    })
    .filter((form) => form.length >= 6)
}
