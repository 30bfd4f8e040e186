import type { gmail_v1 } from '@googleapis/gmail'
import type { Mailbox } from './mailbox.ts'

/** Somebody with a mailbox at Google. */
export type AccountOptions = {
  address: string
  name?: string
  /** Further addresses that this account sends as. */
  aliases?: readonly string[]
  /** Names of labels of one's own. */
  labels?: readonly string[]
}

/** What the simulated Google keeps of an account. */
export type Account = AccountOptions & {
  readonly mailbox: Mailbox
  /** The scopes that this person grants of those asked for. */
  grants: 'all' | 'none' | readonly string[]
  watch?: { expiration: number; labelIds: readonly string[] }
}

/** Those that every mailbox has. */
const systemLabels = ['CHAT', 'SENT', 'INBOX', 'IMPORTANT', 'TRASH', 'DRAFT', 'SPAM', 'STARRED', 'UNREAD']
const categories = ['FORUMS', 'UPDATES', 'PERSONAL', 'PROMOTIONS', 'SOCIAL'].map((name) => `CATEGORY_${name}`)

/** The id of a label of one's own, by which messages carry it. */
export const labelIdOf = ({ labels = [] }: AccountOptions, name: string): string => `Label_${labels.indexOf(name) + 1}`

/** `labels.list`: no counts, which only `labels.get` gives. */
export const labelsOf = (account: AccountOptions): gmail_v1.Schema$Label[] => [
  ...systemLabels.map((id) => ({ id, name: id, type: 'system' })),
  ...categories.map((id) => ({ id, name: id, messageListVisibility: 'hide', labelListVisibility: 'labelHide', type: 'system' })),
  ...(account.labels ?? []).map((name) => ({ id: labelIdOf(account, name), name, type: 'user' })),
]

/** `settings.sendAs.list`: the address itself, then those it stands in for. */
export const sendAsOf = ({ address, name = '', aliases = [] }: AccountOptions): gmail_v1.Schema$SendAs[] => [
  { sendAsEmail: address, displayName: name, replyToAddress: '', signature: '', isPrimary: true, isDefault: true },
  ...aliases.map((sendAsEmail) => ({
    sendAsEmail,
    displayName: name,
    replyToAddress: '',
    signature: '',
    isDefault: false,
    treatAsAlias: true,
    verificationStatus: 'accepted',
  })),
]
