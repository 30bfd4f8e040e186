import { type GmailPrices, gmailPrices } from '../providers/gmail-prices.ts'
import { httpUrl, matching, optional, setting, wholeNumber } from '../setting.ts'

const usual = Object.entries(gmailPrices).map(([method, units]) => `${method}=${units}`)

const prices = (text: string): Partial<GmailPrices> => {
  const entries = text.split(',').map((entry) => /^\s*([a-zA-Z.]+)\s*=\s*(\d{1,6})\s*$/.exec(entry))
  if (entries.every((entry) => entry !== null && Object.hasOwn(gmailPrices, entry[1]!)))
    return Object.fromEntries(entries.map((entry) => [entry![1], Number(entry![2])]))
  throw new Error(`has to be methods with their units, of ${usual.join(',')}`)
}

/** The settings of mailboxes; src/settings.ts takes them into its list. */
export const mailboxSettings = {
  publicUrl: optional({
    name: 'SMARTCRM_PUBLIC_URL',
    description: 'Where browsers and Google find the service, for example https://crm.example.com. Unset: SMARTCRM_URL',
    parse: httpUrl,
  }),
  googleClientId: optional({
    name: 'GOOGLE_CLIENT_ID',
    description: 'Who we are at Google: the OAuth client that people let read their Gmail. Unset: no mailbox can be connected',
    parse: matching(/^[\x21-\x7e]+$/, 'the id of an OAuth client, without spaces'),
  }),
  googleClientSecret: optional({
    name: 'GOOGLE_CLIENT_SECRET',
    description: 'The secret that belongs to GOOGLE_CLIENT_ID',
    parse: matching(/^[\x21-\x7e]+$/, 'a secret, without spaces'),
  }),
  googleUrl: optional({
    name: 'GOOGLE_URL',
    description: "Base address of something that answers in Google's place, for tests. Unset: Google's own addresses",
    parse: httpUrl,
  }),
  gmailPrices: optional({
    name: 'GMAIL_PRICES',
    description: `What calls of Gmail cost in quota units, where that is not ${usual.join(',')}`,
    parse: prices,
  }),
  gmailPushTopic: optional({
    name: 'GMAIL_PUSH_TOPIC',
    description:
      'Topic of Google Pub/Sub that Gmail is to tell of new mail, as projects/…/topics/…; its push subscription posts to /v1/hooks/gmail. Unset: mailboxes are only looked at every minute',
    parse: matching(/^projects\/[^/\s]+\/topics\/[^/\s]+$/, 'projects/PROJECT/topics/TOPIC'),
  }),
  gmailPushAccount: optional({
    name: 'GMAIL_PUSH_ACCOUNT',
    description: 'The service account whose token the push subscription sends, without which nothing is believed',
    parse: matching(/^[^\s@]+@[^\s@]+$/, 'the address of a service account'),
  }),
  gmailPushAudience: optional({
    name: 'GMAIL_PUSH_AUDIENCE',
    description: 'The audience of that token. Unset: the address that is posted to, SMARTCRM_PUBLIC_URL and /v1/hooks/gmail',
    parse: matching(/^\S+$/, 'an audience, without spaces'),
  }),
  gmailQuotaUnits: setting({
    name: 'GMAIL_QUOTA_UNITS',
    default: '6000',
    description: 'Quota units that may be used of one mailbox in GMAIL_QUOTA_SECONDS; a message costs 20',
    parse: wholeNumber(100, 10_000_000),
  }),
  gmailQuotaSeconds: setting({
    name: 'GMAIL_QUOTA_SECONDS',
    default: '60',
    description: 'The time in which these may be used',
    parse: wholeNumber(1, 3_600),
  }),
  mailboxSyncSeconds: setting({
    name: 'MAILBOX_SYNC_SECONDS',
    default: '60',
    description: 'How often each mailbox is looked at for something new, if nobody tells of it before',
    parse: wholeNumber(1, 86_400),
  }),
}
