import { createHash, randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import {
  type ChangePage,
  ConsentNeeded,
  CursorExpired,
  type MailAccount,
  type MailboxProvider,
  type Pace,
  PageExpired,
  ProviderAway,
} from '../../src/providers/mailbox.ts'

/** A provider that a test can do things to, and a mailbox in it. */
export type ProviderWorld = {
  readonly provider: MailboxProvider
  readonly address: string
  readonly aliases: readonly string[]
  /** The name of a label of one's own. */
  readonly label: string
  /** Consents as a person does. @returns where the provider sends the browser back to */
  consent(url: string): Promise<URL>
  /** @param at milliseconds since 1970 @returns its id */
  add(raw: Buffer, more?: { labels?: readonly string[]; at?: number }): string
  remove(id: string): void
  relabel(id: string, labels: { add?: readonly string[]; remove?: readonly string[] }): void
  /** Says of the changes from now on no more than what they were made to. */
  sayLess(): void
  forgetChanges(): void
  forgetPages(): void
  takeConsentBack(): void
  /** Of the next so many requests. */
  fail(fault: 'away' | 'cut' | 'hang' | 'too fast' | 'unauthorized' | 'vanish', times: number): void
}

export const redirectUri = 'http://127.0.0.1:9/callback'
/** Gives every turn at once. */
export const atOnce = (async () => () => {}) as unknown as Pace

/** A grant, as a person gives it. */
export async function granted({ provider, address, consent }: ProviderWorld) {
  const codeVerifier = randomBytes(32).toString('base64url')
  const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url')
  const back = await consent(provider.consentUrl({ state: 'a state', codeChallenge, redirectUri, loginHint: address }))
  return { codeVerifier, back, code: back.searchParams.get('code')! }
}

export async function opened(world: ProviderWorld, pace: Pace = atOnce) {
  const { code, codeVerifier } = await granted(world)
  const grant = (await world.provider.exchange({ code, codeVerifier, redirectUri }))!
  return { ...grant, account: world.provider.open(grant.refreshToken, pace) }
}

export const mail = (subject: string, more = ''): Buffer =>
  Buffer.from(`From: Grace <grace@example.org>\r\nTo: ada@example.com\r\nSubject: ${subject}\r\n${more}\r\n${subject}\r\n`)

async function everything(account: MailAccount, from?: string): Promise<string[]> {
  const ids: string[] = []
  for (let next: string | undefined; ; ) {
    const page = await account.list({ ...(next !== undefined && { next }), ...(from !== undefined && { from }) })
    ids.push(...page.messages.map(({ id }) => id))
    next = page.next
    if (next === undefined) return ids
  }
}

async function changed(account: MailAccount, after: string): Promise<ChangePage[]> {
  const pages: ChangePage[] = []
  for (let next: string | undefined; ; ) {
    const page: ChangePage = await account.changes({ after, ...(next !== undefined && { next }) })
    pages.push(page)
    next = page.next
    if (next === undefined) return pages
  }
}

/** What src/providers/mailbox.ts says of every provider. @param start makes a world of its own for each test; a patient one waits for long */
export function mailboxContract(t: Test, start: (t: Test, patient?: boolean) => Promise<ProviderWorld>): void {
  t.test('a code is exchanged once, with its verifier, for a grant that opens the mailbox', async (t) => {
    const world = await start(t)
    const { provider } = world
    const { code, codeVerifier, back } = await granted(world)
    t.equal(back.searchParams.get('state'), 'a state')
    t.equal(await provider.exchange({ code, codeVerifier: 'x'.repeat(43), redirectUri }), null, 'another verifier')
    const grant = await provider.exchange({ code, codeVerifier, redirectUri })
    t.match(grant, { refreshToken: /./, scopes: [/./] })
    t.equal(await provider.exchange({ code, codeVerifier, redirectUri }), null, 'a second time')
    t.equal(await provider.exchange({ code: 'no code', codeVerifier, redirectUri }), null)
  })

  t.test('the mailbox says whose it is, its aliases, its labels, and how many messages it holds', async (t) => {
    const world = await start(t)
    const { account } = await opened(world)
    world.add(mail('one'))
    t.match(await account.profile(), { address: world.address, cursor: /./, messages: 1 })
    t.strictSame(await account.aliases(), world.aliases)
    t.ok((await account.labels()).some(({ name, id }) => name === world.label && id !== name))
  })

  t.test('all messages are listed by pages, the newest first, without spam and trash, and from an instant on', async (t) => {
    const world = await start(t)
    const begin = Date.UTC(2026, 0, 1)
    const added = Array.from({ length: 1_100 }, (_, n) => world.add(mail(`${n}`), { at: begin + n * 60_000 }))
    world.add(mail('spam'), { labels: ['SPAM'], at: begin })
    world.add(mail('trash'), { labels: ['TRASH'], at: begin })
    const { account } = await opened(world)
    t.strictSame(await everything(account), added.toReversed())
    t.strictSame(await everything(account, new Date(begin + 1_090 * 60_000).toISOString()), added.slice(1_090).toReversed())
    t.ok((await account.list({})).messages.every(({ threadId }) => threadId !== undefined))
  })

  t.test('a message comes byte for byte, with its labels, its thread and when it was received; a large one too', async (t) => {
    const world = await start(t, true)
    const raw = Buffer.concat([mail('bytes'), randomBytes(20 * 1024 * 1024)])
    const at = Date.UTC(2026, 1, 3, 4, 5, 6)
    const id = world.add(raw, { labels: ['INBOX', 'UNREAD'], at })
    const { account } = await opened(world)
    const message = (await account.get(id))!
    t.ok(raw.equals(message.raw))
    t.match(message, { id, threadId: /./, receivedAt: new Date(at).toISOString() })
    t.strictSame(message.labels.toSorted(), ['INBOX', 'UNREAD'])
  })

  t.test('a message that is gone is null, before and after it was listed', async (t) => {
    const world = await start(t)
    const [gone, vanishing] = [world.add(mail('gone')), world.add(mail('vanishing'))]
    const { account } = await opened(world)
    world.remove(gone)
    t.equal(await account.get(gone), null)
    t.strictSame(await everything(account), [vanishing])
    world.fail('vanish', 1)
    t.equal(await account.get(vanishing), null)
  })

  t.test('what came, was relabelled or deleted after a cursor is listed, and nothing twice after the next', async (t) => {
    const world = await start(t)
    const [kept, deleted] = [world.add(mail('kept')), world.add(mail('deleted'))]
    const { account } = await opened(world)
    const { cursor } = await account.profile()
    const added = world.add(mail('added'))
    world.relabel(kept, { add: ['STARRED'], remove: ['UNREAD'] })
    world.remove(deleted)
    const [page] = await changed(account, cursor)
    t.match(page!.added, [{ id: added }])
    t.strictSame(
      page!.changes.map(({ labels, ...change }) => ({ ...change, ...(labels && { labels: labels.toSorted() }) })),
      [
        { id: kept, labels: ['INBOX', 'STARRED'] },
        { id: deleted, deleted: true },
      ],
    )
    t.match(await changed(account, page!.cursor), [{ added: [], changes: [] }])
  })

  t.test('changes go over pages, all of which lead to what came while they were listed', async (t) => {
    const world = await start(t)
    const { account } = await opened(world)
    const { cursor } = await account.profile()
    const added = Array.from({ length: 1_001 }, (_, n) => world.add(mail(`${n}`)))
    const first = await account.changes({ after: cursor })
    const late = world.add(mail('late'))
    const second = await account.changes({ after: cursor, next: first.next! })
    t.equal(second.cursor, first.cursor)
    const third = await account.changes({ after: cursor, next: second.next! })
    const pages = [first, second, third, ...(await changed(account, third.cursor))]
    t.strictSame(new Set(pages.flatMap((page) => page.added.map(({ id }) => id))), new Set([...added, late]))
  })

  t.test('changes that say no more than what they were made to are given as added and as changed', async (t) => {
    const world = await start(t)
    const [kept, deleted] = [world.add(mail('kept')), world.add(mail('deleted'))]
    const { account } = await opened(world)
    const { cursor } = await account.profile()
    world.sayLess()
    world.relabel(kept, { add: ['STARRED'] })
    world.remove(deleted)
    const added = world.add(mail('added'))
    const [page] = await changed(account, cursor)
    const all = new Set([kept, deleted, added])
    t.strictSame(new Set(page!.added.map(({ id }) => id)), all)
    t.strictSame(new Set(page!.changes.map(({ id }) => id)), all)
    t.ok(page!.changes.every((change) => change.labels === undefined && change.deleted === undefined))
  })

  t.test('a cursor that is too old and a page that is not known any more are told apart', async (t) => {
    const world = await start(t)
    for (let n = 0; n < 600; n += 1) world.add(mail(`${n}`))
    const { account } = await opened(world)
    const { next } = await account.list({})
    world.forgetPages()
    await t.rejects(account.list({ next: next! }), PageExpired)
    const { cursor } = await account.profile()
    for (let n = 0; n < 600; n += 1) world.add(mail(`more ${n}`))
    const page = await account.changes({ after: cursor })
    world.forgetPages()
    await t.rejects(account.changes({ after: cursor, next: page.next! }), PageExpired)
    world.forgetChanges()
    await t.rejects(account.changes({ after: cursor }), CursorExpired)
    t.equal((await account.list({})).messages.length, 500, 'and all can be listed anew')
  })

  t.test('a consent that was taken back needs a person, whether there or here', async (t) => {
    const world = await start(t)
    const there = await opened(world)
    await there.account.profile()
    world.takeConsentBack()
    await t.rejects(there.account.profile(), ConsentNeeded)
    const here = await opened(world)
    await world.provider.revoke(here.refreshToken)
    await t.rejects(world.provider.open(here.refreshToken, atOnce).profile(), ConsentNeeded)
    await world.provider.revoke(here.refreshToken)
    await world.provider.revoke('no token')
    t.pass('one that is not known any more is fine')
  })

  for (const fault of ['away', 'cut', 'hang', 'too fast', 'unauthorized'] as const) {
    t.test(`what passes is tried again: ${fault}`, async (t) => {
      const world = await start(t)
      const id = world.add(mail('there'))
      const { account } = await opened(world)
      world.fail(fault, 2)
      t.equal((await account.get(id))?.id, id)
      world.fail(fault, 1_000)
      const error: ProviderAway = await account.get(id).then(
        () => t.fail('it came'),
        (error) => error,
      )
      t.type(error, ProviderAway)
      t.match(error, { code: /^[\w.-]+$/, message: /^Google / })
    })
  }

  t.test('who is told to stop stops, waiting for a turn, an answer or the next try', async (t) => {
    const world = await start(t)
    const { account } = await opened(world)
    const reason = new Error('stop')
    await t.rejects(account.profile(AbortSignal.abort(reason)), reason)
    const soon = () => {
      const stopping = new AbortController()
      setTimeout(() => stopping.abort(reason), 20)
      return stopping.signal
    }
    world.fail('hang', 1_000)
    await t.rejects(account.profile(soon()), reason)
    const waiting: Pace = (_, signal) => new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)))
    await t.rejects((await opened(world, waiting)).account.profile(soon()), reason)
  })
}
