import { Fault } from '../../platform/fault.ts'

/** What one mail may cost. Over it, a mail is kept raw and reported with the reason. */
export type Limits = {
  /** The whole mail. Gmail takes mails of up to 50 MB. */
  readonly sizeBytes: number
  readonly headerBytes: number
  /** Lines that are neither base64 nor quoted-printable: each costs some hundred bytes while its part is read. */
  readonly lines: number
  readonly parts: number
  /** How deep multiparts may be nested. */
  readonly depth: number
  /** Each is described in the mail's event, whose size is bounded. */
  readonly attachments: number
  /** Time of a processor, so that a busy machine refuses no mail. */
  readonly cpuMilliseconds: number
  readonly heapMegabytes: number
}

export const defaultLimits: Limits = {
  sizeBytes: 50 * 1024 * 1024,
  headerBytes: 1024 * 1024,
  lines: 400_000,
  parts: 2_000,
  depth: 64,
  attachments: 250,
  cpuMilliseconds: 1_500,
  heapMegabytes: 192,
}

export type RefusalCode =
  | 'too-large'
  | 'header-too-large'
  | 'too-many-lines'
  | 'too-many-parts'
  | 'nested-too-deep'
  | 'too-many-attachments'
  | 'too-slow'
  | 'too-much-memory'
  | 'not-a-mail'
  | 'parser-failed'

export type RefusalReason = { readonly code: RefusalCode; readonly message: string }

/** The mail is not parsed: a limit is exceeded, or nothing of it can be read. */
export class MailRefused extends Fault {
  override name = 'MailRefused'
  code: RefusalCode
  constructor(code: RefusalCode, message: string) {
    super(message)
    this.code = code
  }
}

const megabytes = (bytes: number): string => {
  const value = bytes / (1024 * 1024)
  return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} MB`
}

export const tooLarge = (limit: number, sizeBytes?: number): MailRefused =>
  new MailRefused(
    'too-large',
    sizeBytes === undefined
      ? `The mail is larger than ${megabytes(limit)}, the most that is read.`
      : `The mail has ${megabytes(sizeBytes)}; at most ${megabytes(limit)} are read.`,
  )

export const headerTooLarge = (limit: number): MailRefused =>
  new MailRefused('header-too-large', `The mail's headers are larger than ${megabytes(limit)}, the most that is read.`)

const counted = (code: RefusalCode, what: string) => (limit: number) =>
  new MailRefused(code, `The mail has more than ${limit.toLocaleString('en')} ${what}, the most that are read.`)
export const tooManyLines = counted('too-many-lines', 'lines of text')
export const tooManyParts = counted('too-many-parts', 'parts')
export const tooManyAttachments = counted('too-many-attachments', 'attachments')

export const nestedTooDeep = (limit: number): MailRefused =>
  new MailRefused('nested-too-deep', `The mail's parts are nested more than ${limit} deep, the most that is read.`)

export const tooSlow = (limit: number): RefusalReason => ({
  code: 'too-slow',
  message: `Reading the mail took more than ${limit / 1000} seconds of processor time, so it was given up.`,
})

export const tooMuchMemory = (limit: number): RefusalReason => ({
  code: 'too-much-memory',
  message: `Reading the mail took more than ${limit} MB of memory, so it was given up.`,
})
