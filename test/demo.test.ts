import { mkdirSync, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { ContactEnrichment, Enrichment } from '../schema/enrichment.ts'
import { readConfig } from '../src/config.ts'
import { openDemo } from '../src/demo/demo.ts'
import { startNode, until } from './support/processes.ts'
import { main, ownEnvironment, startWhole } from './support/whole.ts'

/* What a newcomer starts: everything, and a Google with a made-up mailbox beside it. */
const folder = await mkdtemp(join(tmpdir(), 'smartcrm-demo-'))
await chmod(folder, 0o755)
t.setTimeout(300_000)
t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
const demoIn = (dataFolder: string, more: NodeJS.ProcessEnv = {}) =>
  openDemo(readConfig({ SMARTCRM_DATA: dataFolder, SMARTCRM_DEMO: '1', ...more }))

t.test('a demo is the same at each start, and never mixed with somebody’s data', async (t) => {
  const data = t.testdir()
  const first = await demoIn(data)
  t.match(first, { startedAt: Number, mails: 2_000, secret: /.{20}/, adminKey: /^demo-.{20}/, pagesPort: Number })
  t.strictSame(await demoIn(data), first)
  await t.rejects(openDemo(readConfig({ SMARTCRM_DATA: data })), /holds a demo: start it with --demo/)

  const other = t.testdir({ other: {} })
  mkdirSync(join(other, 'eventstore'))
  writeFileSync(join(other, 'eventstore/events.db'), '')
  t.equal(await openDemo(readConfig({ SMARTCRM_DATA: other })), undefined)
  await t.rejects(demoIn(other), /data that are not a demo's/)
  const foreign = { DATABASE_URL: 'postgres://u:p@db/crm', EVENTSTORE_URL: 'esdb://es:2113' }
  await t.rejects(demoIn(t.testdir(), foreign), /take EVENTSTORE_URL, DATABASE_URL away/)
})

t.test('it starts with one command, the mails come in, every one accounted for, and contacts are looked up', async (t) => {
  const demo = await start(t)
  t.match(demo.lines.join('\n'), /a demo, with the mail of somebody who does not exist/)
  const [account] = (await demo.google('accounts')) as string[]
  const inGoogle = (await demo.google(`accounts/${account}/messages`)) as { threadId: string; labelIds: string[] }[]
  t.equal(inGoogle.length, 180)
  const isHidden = ({ labelIds }: { labelIds: string[] }) => labelIds.includes('SPAM') || labelIds.includes('TRASH')
  const listed = inGoogle.filter((message) => !isHidden(message))
  const mails = listed.filter(({ labelIds }) => !labelIds.includes('DRAFT'))

  const mailbox = await demo.upToDate()
  t.equal(mailbox.address, account)
  const { ledger } = mailbox.sync
  t.match(ledger, { listed: listed.length, failed: 0, pending: 0, excluded: listed.length - mails.length })
  t.equal(ledger.stored + ledger.known, mails.length)
  t.equal((await demo.all('threads')).length, new Set(mails.map(({ threadId }) => threadId)).size)
  t.ok((await demo.all('contacts')).length > 10, 'and there are contacts of those that were written to')
  t.match(await demo.google(`quota/${account}`), { refused: 0 })
  const sources = await openSources(t, demo)

  demo.child.kill('SIGTERM')
  t.equal(await demo.ended, 0)
  t.strictSame(await demo.left(), [])
  await t.rejects(fetch(demo.googleUrl), 'Google is gone, too')

  await t.test('the next start goes on with the same mail, and shows the same key', async (t) => {
    const again = await start(t)
    t.equal(again.key, demo.key)
    t.strictSame(await again.google(`accounts/${account}/messages`), inGoogle)
    t.match(await again.upToDate(), { id: mailbox.id, sync: { ledger } })
    t.equal((await fetch(sources[0]!)).status, 200, 'and what was found before still has its page')
    again.child.kill('SIGKILL')
    await until('the end of Google', () => fetch(again.googleUrl).then(isNever, () => true))
    await until('the end of the rest', async () => (await again.left()).length === 0)
  })
})

t.test('a start without --demo leaves a demo alone', async (t) => {
  const plain = startNode(t, [main, 'start'], { cwd: folder, env: { ...ownEnvironment, SMARTCRM_DATA: join(folder, 'data'), PORT: '0' } })
  t.equal(await plain.ended, 1)
  t.match(plain.lines, [/holds a demo: start it with --demo/])
})

/** Opens each source of what was found of the first contacts: a page or a mail, in which the evidence stands. @returns the pages' addresses */
async function openSources(t: Test, { all, get }: Awaited<ReturnType<typeof start>>): Promise<string[]> {
  let done: Enrichment[] = []
  await until('a few enrichments', async () => {
    done = (await all('enrichments?state=enriched')) as Enrichment[]
    return done.length >= 5
  })
  const found = await Promise.all(done.slice(-5).map(({ contactId }) => get<ContactEnrichment>(`contacts/${contactId}/enrichment`)))
  const values = found.flatMap(({ values }) => values)
  t.ok(values.some(({ field, state }) => field === 'jobTitle' && state === 'applied'))
  const plain = (text: string) => text.replaceAll('[address]', '').replaceAll(/\s+/g, ' ')
  const textOf = async ({ url, emailId }: ContactEnrichment['values'][0]['source']): Promise<string> => {
    if (url === undefined) {
      const { subject, text } = await get<{ subject: string; text: string }>(`emails/${emailId}`)
      return `${subject}\n${text}`
    }
    t.equal(new URL(url).hostname, '127.0.0.1', 'a page of this machine')
    const page = await fetch(url)
    t.match([page.status, page.headers.get('content-type')], [200, /^text\/html/])
    const unescaped = { lt: '<', gt: '>', amp: '&' } as Record<string, string>
    return (await page.text()).replaceAll(/<[^>]*>/g, '').replaceAll(/&(\w+);/g, (_, name) => unescaped[name]!)
  }
  for (const { source, evidence } of values) {
    const text = plain(await textOf(source))
    for (const part of evidence!.split('[address]'))
      t.ok(text.includes(plain(part).trim()), `${evidence} stands in ${JSON.stringify(source)}`)
  }
  t.ok(values.some(({ source }) => source.emailId))
  return [...new Set(values.flatMap(({ source }) => source.url ?? []))]
}

const isNever = () => false

type Mailbox = {
  id: string
  address: string
  sync: { progress: { state: string }; ledger: Record<'listed' | 'stored' | 'known' | 'excluded' | 'failed' | 'pending', number> }
}

async function start(t: Test) {
  const started = await startWhole(t, folder, { SMARTCRM_DEMO: '1', SMARTCRM_DEMO_MAILS: '180' })
  const { lines, url } = started
  const said = lines.map((line) => (line.startsWith('{') ? JSON.parse(line) : {})).find(({ msg }) => msg === 'google is up')
  const [, key] = /API key +(\S+)/.exec(lines.find((line) => /API key/.test(line)) ?? '') ?? []
  const ask = async <T>(path: string) => {
    const answer = await fetch(`${url}/v1/${path}`, { headers: { authorization: `Bearer ${key}` } })
    if (!answer.ok) throw new Error(`${path} was answered ${answer.status}`)
    return (await answer.json()) as { data: T[]; nextCursor: string | null }
  }
  return {
    ...started,
    key: key!,
    async get<T>(path: string): Promise<T> {
      return ask(path) as Promise<T>
    },
    googleUrl: said.url as string,
    google: async (path: string): Promise<unknown> => (await fetch(`${said.url}/_control/${path}`)).json(),
    async all(path: string): Promise<unknown[]> {
      const all = []
      for (let cursor = ''; ; ) {
        const { data, nextCursor } = await ask(`${path}${path.includes('?') ? '&' : '?'}limit=200${cursor}`)
        all.push(...data)
        if (nextCursor === null) return all
        cursor = `&cursor=${encodeURIComponent(nextCursor)}`
      }
    },
    /** The mailbox, when all of it is there. */
    async upToDate(): Promise<Mailbox> {
      for (;;) {
        const { data } = await ask<Mailbox>('mailboxes')
        if (data[0]?.sync.progress.state === 'up-to-date') return data[0]
        await delay(200)
      }
    },
  }
}
