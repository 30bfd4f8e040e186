import { type Account, labelsOf, sendAsOf } from './account.ts'
import type { Clock } from './clock.ts'
import { insufficientPermissions, invalidArgument, notFound } from './errors.ts'
import { listHistory } from './history.ts'
import { attachmentOfMessage, listMessages, messageOf, threadOf } from './messages.ts'
import type { Pages } from './pages.ts'
import type { Method } from './quota.ts'

/** A request of Gmail's API, as far as its address says what it is. */
export type Call = { method: Method; user: string; ids: readonly string[] }

const routes: [string, RegExp, Method][] = [
  ['GET', /^profile$/, 'getProfile'],
  ['GET', /^messages$/, 'messages.list'],
  ['GET', /^messages\/([^/]+)$/, 'messages.get'],
  ['GET', /^messages\/([^/]+)\/attachments\/([^/]+)$/, 'attachments.get'],
  ['GET', /^threads\/([^/]+)$/, 'threads.get'],
  ['GET', /^history$/, 'history.list'],
  ['GET', /^labels$/, 'labels.list'],
  ['GET', /^settings\/sendAs$/, 'settings.sendAs.list'],
  ['POST', /^watch$/, 'watch'],
  ['POST', /^stop$/, 'stop'],
]

/** @returns null if there is no such method, or none that is simulated */
export function callOf(httpMethod: string, path: string): Call | null {
  const [, user, rest = ''] = /^\/gmail\/v1\/users\/([^/]+)\/(.+)$/.exec(path) ?? []
  const route = routes.find(([method, pattern]) => method === httpMethod && pattern.test(rest))
  if (user === undefined || !route) return null
  return { method: route[2], user: decodeURIComponent(user), ids: [...route[1].exec(rest)!].slice(1).map(decodeURIComponent) }
}

const all = ['https://mail.google.com/', 'https://www.googleapis.com/auth/gmail.modify', 'https://www.googleapis.com/auth/gmail.readonly']
const metadata = 'https://www.googleapis.com/auth/gmail.metadata'

/** As each method's page lists the scopes that it takes. With metadata alone nothing can be searched for, and no body be had. */
export function checkScope({ method }: Call, scope: string, query: URLSearchParams): void {
  const scopes = scope.split(' ')
  if (all.some((one) => scopes.includes(one))) return
  const isBody = ['full', 'raw'].includes(query.get('format')?.toLowerCase() ?? 'full')
  const withMetadata = {
    'messages.get': !isBody,
    'threads.get': !isBody,
    'messages.list': !query.has('q'),
    'attachments.get': false,
    'settings.sendAs.list': scopes.includes('https://www.googleapis.com/auth/gmail.settings.basic'),
  }
  if (method in withMetadata && !withMetadata[method as keyof typeof withMetadata]) throw insufficientPermissions()
  if (method !== 'settings.sendAs.list' && !scopes.includes(metadata)) throw insufficientPermissions()
}

export type Quirks = {
  /** So many messages of each page are listed again on the next. */
  repeatedOnPages: number
  /** No page of messages is larger: smaller than Gmail's own, what goes over pages can be shown with few messages. */
  largestPage: number
}

const watchMs = 7 * 86_400_000

/** Carries out a call. @returns the answer, undefined for none @throws GoogleError */
export function carryOut(
  call: Call,
  account: Account,
  query: URLSearchParams,
  body: unknown,
  world: { pages: Pages; clock: Clock; quirks: Quirks },
): unknown {
  const { mailbox } = account
  const [id = '', otherId = ''] = call.ids
  switch (call.method) {
    case 'getProfile': {
      const messages = mailbox.all()
      const threadsTotal = new Set(messages.map(({ threadId }) => threadId)).size
      return { emailAddress: account.address, messagesTotal: messages.length, threadsTotal, historyId: `${mailbox.historyId()}` }
    }
    case 'messages.list':
      return listMessages(mailbox, query, world.pages, world.quirks)
    case 'messages.get':
      return messageOf(mailbox.get(hexId(id)), query)
    case 'attachments.get':
      return attachmentOfMessage(mailbox.get(hexId(id)), otherId)
    case 'threads.get':
      return threadOf(mailbox, hexId(id), query)
    case 'history.list':
      return listHistory(mailbox, query, world.pages)
    case 'labels.list':
      return { labels: labelsOf(account) }
    case 'settings.sendAs.list':
      return { sendAs: sendAsOf(account) }
    case 'watch': {
      const { topicName, labelIds = [] } = (body ?? {}) as { topicName?: string; labelIds?: string[] }
      if (!/^projects\/[^/]+\/topics\/[^/]+$/.test(topicName ?? ''))
        throw invalidArgument(`Invalid topicName does not match projects/*/topics/*`)
      const expiration = Math.floor(world.clock.now() + watchMs)
      account.watch = { expiration, labelIds }
      return { historyId: `${mailbox.historyId()}`, expiration: `${expiration}` }
    }
    case 'stop':
      delete account.watch
      return undefined
    default:
      throw notFound()
  }
}

function hexId(id: string): string {
  if (/^[0-9a-f]{1,16}$/.test(id)) return id
  throw invalidArgument('Invalid id value')
}
