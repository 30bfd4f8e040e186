/*
 * What a job says of itself may come from anywhere. Postgres's jsonb takes neither NUL nor half a surrogate pair, and one job's odd text must not keep
 * the others of a batch from being settled.
 */

/** JSON that jsonb takes. @throws TypeError for what is no JSON */
export const storable = (value: object): string =>
  // JSON.stringify writes lone surrogates as escapes, and whole pairs as they are.
  JSON.stringify(value).replaceAll(/\\(?:\\|u0000|ud[89a-f][0-9a-f]{2})/g, (match) => (match === '\\\\' ? match : '\ufffd'))

/** A whole number that a bigint column takes. */
export const whole = (number: number): number => (Number.isFinite(number) ? Math.round(Math.max(-(2 ** 52), Math.min(number, 2 ** 52))) : 0)
