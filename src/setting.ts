/**
 * One setting. `parse` takes the text and gives the value, or throws what the text has to be ("has to be …"); it never repeats
 * the text, which may be a secret.
 */
export type Setting<Value> = { name: string; default?: string; description: string; parse: (text: string) => Value }

/** One that always has a value. */
export const setting = <Value>(setting: Setting<Value> & { default: string }) => setting
/** One that may be unset. */
export const optional = <Value>(setting: Setting<Value> & { default?: never }) => setting

/** The names of those that always have a value. */
export type AlwaysSet<All> = { [Name in keyof All]: All[Name] extends { default: string } ? Name : never }[keyof All]

export const matching = (pattern: RegExp, expected: string) => (text: string) => {
  if (pattern.test(text)) return text
  throw new Error(`has to be ${expected}`)
}

/** An address, without slashes at its end. */
export const httpUrl = (text: string) => {
  const url = URL.parse(text)
  if (url && ['http:', 'https:'].includes(url.protocol)) return text.replace(/\/+$/, '')
  throw new Error('has to be an address that starts with http:// or https://')
}

export const wholeNumber = (least: number, most: number) => (text: string) => {
  const number = Number(text)
  if (/^\d{1,9}$/.test(text) && number >= least && number <= most) return number
  throw new Error(`has to be a whole number from ${least} to ${most}`)
}

export const usDollars = (text: string): number => {
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text)) return Number(text)
  throw new Error('has to be an amount in US dollars, like 5 or 0.25')
}

/** A JSON object; its text, as it is. */
export const jsonObject = (text: string): string => {
  try {
    const parsed: unknown = JSON.parse(text)
    if (parsed && typeof parsed === 'object' && !Array.isArray(parsed)) return text
  } catch {}
  throw new Error('has to be a JSON object')
}
