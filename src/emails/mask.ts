import type { Party } from '../../schema/email.ts'
import { emailEvents } from '../../schema/email-events.ts'
import type { Conceal } from '../platform/codec.ts'
import type { Concealed } from '../platform/concealed.ts'
import { normalizeEmail } from '../platform/email-address.ts'

/** What of a mail names who takes part in it, beside its texts. */
export type Parties = {
  readonly from: Party[]
  readonly sender?: Party | undefined
  readonly replyTo: Party[]
  readonly to: Party[]
  readonly cc: Party[]
  readonly bcc: Party[]
  readonly headers: Record<string, string | undefined>
}

const lists = ['from', 'replyTo', 'to', 'cc', 'bcc'] as const
const told: ReadonlySet<string> = new Set([emailEvents.EmailReceived.type, emailEvents.EmailSent.type, emailEvents.EmailPartiesMasked.type])

/** Everybody who is named in a mail's headers. */
export const everybodyIn = (mail: Parties): Party[] => [...lists.flatMap((list) => mail[list]), ...(mail.sender ? [mail.sender] : [])]

/** Their addresses, in the normal form, each once. */
export const addressesIn = (mail: Parties): string[] => [...new Set(everybodyIn(mail).flatMap(({ address }) => address ?? []))]

/** For the codec: whoever was erased is in no mail that is read, whenever it was recorded. */
export const concealParties =
  (concealed: Pick<Concealed, 'isEmpty' | 'has'>): Conceal =>
  ({ type, data, position }) =>
    concealed.isEmpty() || !told.has(type) ? data : maskParties(data as Parties, (address) => concealed.has(address, position))

/**
 * A mail without those whose addresses are masked: of their entries nothing is left, nor of their names elsewhere in the headers. The texts stay.
 * @returns the very mail where nobody is
 */
export function maskParties<M extends Parties>(mail: M, isMasked: (address: string) => boolean): M {
  const hides = (text: string | undefined) => text?.includes('@') === true && addressesOfText(text).some(isMasked)
  const isWholly = ({ address, raw }: Party) => (address === undefined ? hides(raw) : isMasked(address))
  const everybody = everybodyIn(mail)
  const names = new Set(everybody.filter(isWholly).flatMap(({ name }) => (name ? [plain(name)] : [])))
  const hidesName = (name: string | undefined) => name !== undefined && (names.has(plain(name)) || hides(name))
  const isTouched = (party: Party) => isWholly(party) || hidesName(party.name) || hides(party.raw)
  const headers = Object.entries(mail.headers).filter(([, value]) => !hides(value))
  if (headers.length === Object.keys(mail.headers).length && !everybody.some(isTouched)) return mail

  const masked = (party: Party): Party => {
    if (!isTouched(party)) return party
    if (isWholly(party)) return { erased: true }
    const { name, raw, ...rest } = party
    return { ...rest, ...(name !== undefined && !hidesName(name) && { name }), ...(raw !== undefined && !hides(raw) && { raw }) }
  }
  return {
    ...mail,
    ...Object.fromEntries(lists.map((list) => [list, mail[list].map(masked)])),
    ...(mail.sender && { sender: masked(mail.sender) }),
    headers: Object.fromEntries(headers),
  }
}

const plain = (name: string) => name.trim().toLowerCase()

/** The addresses in a text, as far as they stand for themselves. */
const addressesOfText = (text: string): string[] =>
  (text.slice(0, 2_000).match(/[^\s<>()[\],;:"']{1,128}@[^\s<>()[\],;:"'@]{1,256}/g) ?? []).flatMap((found) => normalizeEmail(found) ?? [])
