import { addressesInMails, enrichmentsOf, type MailWith, mailsWith, ownAddresses, removedMails } from '../../projections/erasure-reads.ts'
import { contentOf, maskEmail } from '../emails/email.ts'
import { addressesIn, everybodyIn } from '../emails/mask.ts'
import type { Database } from '../platform/database.ts'
import type { JobRun } from '../platform/jobs.ts'
import { Refused } from '../platform/refusal.ts'
import type { Services } from '../services.ts'
import { recordFound } from './erasure.ts'

const PAGE = 200

type Person = { readonly erasureId: string; readonly contactIds: readonly string[]; readonly addresses: readonly string[] }
type Found = { contactId: string; erased: string[]; masked: string[]; enrichments: string[] }

/**
 * Looks for what there is of a person: mails, each to be erased where nobody else takes part but ourselves, or else masked; enrichments. What is to be done
 * with them is recorded before it is done.
 * @param db tables that hold all that the log says
 * @returns a part of it at a time, to be asked again when that is done and the tables know; null: there is nothing more
 */
export async function findAndRecord(
  db: Database,
  { erasureId, contactIds, addresses }: Person,
  job: JobRun<Services>,
): Promise<Found | null> {
  const { services } = job
  const own = await ownAddresses(db)
  // Whoever is erased again after a restore is known by HMACs alone.
  const his = new Set(addresses.length > 0 ? addresses : await hiddenAddresses(db, services))
  const isNobodyElses = (list: readonly string[]) => list.every((address) => his.has(address) || own.has(address))
  const mails = his.size === 0 ? [] : await mailsWith(db, [...his], null, PAGE)
  const isAll = mails.length < PAGE
  const sole = mails.filter((mail) => isNobodyElses(mail.addresses))
  const removed = isAll ? await removedOnes(db, isNobodyElses, services) : []
  const found = {
    erased: [...sole, ...removed].map(({ emailId }) => emailId),
    masked: mails.filter((mail) => !sole.includes(mail)).map(({ emailId }) => emailId),
    enrichments: (await enrichmentsOf(db, contactIds)).slice(0, PAGE),
  }
  const all = [...found.erased, ...found.masked, ...found.enrichments]
  if (all.length === 0) return null
  const blobs = await countBlobs([...sole, ...removed], services)
  // Named by what is in it, so that the same again is recorded once.
  await job.execute(`found ${all.sort().join(' ')}`, recordFound, { ...found, blobs }, { id: erasureId })
  return { contactId: erasureId, ...found }
}

const ADDRESSES = 10_000

/** The addresses in the tables that are to be shown no more, whoever's they were. */
async function hiddenAddresses(db: Database, { concealed }: Services): Promise<string[]> {
  const found: string[] = []
  for (let after = ''; ; ) {
    const page = await addressesInMails(db, after, ADDRESSES)
    found.push(...page.filter((address) => concealed.has(address)))
    if (page.length < ADDRESSES) return found
    after = page.at(-1)!
  }
}

type Removed = Pick<MailWith, 'emailId' | 'keyId'>

/**
 * Mails that are in no table, because somebody or a rule took them away, and that the log could still tell: of one between nobody but people who were
 * erased and ourselves the key goes too. In the others the person is masked for every reader, and no row need be changed.
 */
async function removedOnes(
  db: Database,
  isNobodyElses: (addresses: readonly string[]) => boolean,
  { runner }: Services,
): Promise<Removed[]> {
  const found: Removed[] = []
  for (let after: string | null = null; ; ) {
    const page: readonly { emailId: string }[] = await removedMails(db, after, PAGE)
    for (const { emailId } of page) {
      const events = await runner.load(`email-${emailId}`)
      const told = contentOf(events)
      // As it is read now: whoever was erased has no address in it.
      const isHis = told && everybodyIn(told.content).some(({ erased }) => erased) && isNobodyElses(addressesIn(told.content))
      if (isHis) found.push({ emailId, keyId: events.at(-1)!.meta.key! })
      if (found.length === PAGE) return found
    }
    if (page.length < PAGE) return found
    after = page.at(-1)!.emailId
  }
}

async function countBlobs(mails: readonly Removed[], { blobs }: Services): Promise<number> {
  let count = 0
  for (const { keyId } of mails) for await (const _ of blobs.list(keyId)) count += 1
  return count
}

/** Has the tables written anew of a mail with other people. The mail is read as it is without the person, for he is suppressed by now. */
export async function maskMail(emailId: string, { services, execute }: JobRun<Services>): Promise<void> {
  const told = contentOf(await services.runner.load(`email-${emailId}`))
  if (!told) return
  const { emailId: _id, text: _text, textOwn: _own, html: _html, raw: _raw, ...rest } = told.content
  const body = { ...rest, sent: told.sent, at: rest.date ?? told.recordedAt }
  await execute(`mask ${emailId}`, maskEmail, body, { id: emailId }).catch((error: unknown) => {
    if (!(error instanceof Refused && error.code === 'erased')) throw error
  })
}
