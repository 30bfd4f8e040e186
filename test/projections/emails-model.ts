import type { NewEvent } from '../../schema/define.ts'
import type { Email } from './mail.ts'

/*
 * What tables of mail have to say, worked out the long way from the mails that are there and the contacts that are: every pair looked at, nothing kept.
 */
export type Mail = Email & { sent: boolean }
export type Person = { archived: boolean; methods: Map<string, string> }
export type World = { mails: Map<string, Mail>; people: Map<string, Person> }

// biome-ignore lint/suspicious/noExplicitAny: each kind of event is looked into by its own line
export function worldAfter(events: readonly NewEvent<string, any>[]): World {
  const world: World = { mails: new Map(), people: new Map() }
  for (const { type, data } of events) {
    const person = world.people.get(data.contactId)
    if (type === 'EmailReceived' || type === 'EmailSent') world.mails.set(data.emailId, { ...data, sent: type === 'EmailSent' })
    if (type === 'EmailRemoved') world.mails.delete(data.emailId)
    if (type === 'ContactCreated') world.people.set(data.contactId, { archived: false, methods: emailMethods(data.methods) })
    if (type === 'ContactMethodAdded') for (const [id, address] of emailMethods([data.method])) person!.methods.set(id, address)
    if (type === 'ContactMethodRemoved') person!.methods.delete(data.methodId)
    if (type === 'ContactArchived') person!.archived = true
    if (type === 'ContactRestored') person!.archived = false
  }
  return world
}

const emailMethods = (methods: { id: string; type: string; normalized?: string }[]) =>
  new Map(methods.filter(({ type }) => type === 'email').map(({ id, normalized }) => [id, normalized!]))

const addresses = (...parties: ({ address?: string } | undefined)[]) => parties.flatMap((party) => party?.address ?? [])
const wrote = (mail: Mail) => addresses(...mail.from, mail.sender)
const recipients = ({ to, cc, bcc }: Mail) => addresses(...to, ...cc, ...bcc)
export const takesPart = (mail: Mail) => {
  const all = [...wrote(mail), ...addresses(...mail.replyTo), ...recipients(mail)]
  return all.filter((address) => !mail.sent || !wrote(mail).includes(address))
}

/** Thread of each mail: the smallest id of all that it hangs together with. */
export function threadsOf({ mails }: World): Map<string, string> {
  const all = [...mails.values()]
  const ids = (mail: Mail) =>
    [mail.messageId ?? '', ...mail.references, ...mail.inReplyTo].map((id) => id.replace(/[<>]/g, '').toLowerCase()).filter((id) => id)
  const provider = (mail: Mail) => mail.providerThreadId && `${mail.source} ${mail.providerThreadId}`
  const subject = (mail: Mail) => mail.subject.replace(/^(re|aw): */i, '').toLowerCase()
  const orderOf = (mail: Mail) => `${mail.date} ${mail.emailId}`

  const joined = (a: Mail, b: Mail) =>
    ids(a).some((id) => ids(b).includes(id)) || (provider(a) !== undefined && provider(a) === provider(b)) || answers(a, b) || answers(b, a)
  const answers = (reply: Mail, other: Mail) => {
    const asks = /^(re|aw):/i.test(reply.subject) && reply.inReplyTo.length + reply.references.length === 0 && !reply.providerThreadId
    if (!asks || reply.date === null || subject(reply) === '') return false
    const asked = reply.sent ? recipients(reply) : addresses(...reply.from)
    return asked
      .filter((address) => takesPart(reply).includes(address))
      .some((address) => {
        const earlier = all.filter(
          (mail) =>
            mail.date !== null && subject(mail) === subject(reply) && takesPart(mail).includes(address) && orderOf(mail) < orderOf(reply),
        )
        const [last] = earlier.sort((a, b) => (orderOf(a) < orderOf(b) ? 1 : -1))
        return last === other && Date.parse(reply.date!) - Date.parse(last.date!) <= 30 * 86_400_000
      })
  }

  const threads = new Map(all.map(({ emailId }) => [emailId, emailId]))
  for (let changed = true; changed; ) {
    changed = false
    for (const a of all)
      for (const b of all) {
        const [threadA, threadB] = [threads.get(a.emailId)!, threads.get(b.emailId)!]
        if (threadA <= threadB || !joined(a, b)) continue
        threads.set(a.emailId, threadB)
        changed = true
      }
  }
  return threads
}

export function statisticsOf({ mails, people }: World) {
  return [...people].map(([contactId, { archived, methods }]) => {
    const own = [...methods.values()]
    const isOf = (found: readonly string[]) => found.some((address) => own.includes(address))
    const received = [...mails.values()].filter((mail) => !mail.sent && isOf([...wrote(mail), ...addresses(...mail.replyTo)]))
    const sent = [...mails.values()].filter(
      (mail) => mail.sent && isOf(recipients(mail).filter((address) => !wrote(mail).includes(address))),
    )
    const dates = [...received, ...sent].flatMap(({ date }) => date ?? []).sort()
    return { contactId, archived, emailsReceived: received.length, emailsSent: sent.length, lastEmailAt: dates.at(-1) ?? null }
  })
}
