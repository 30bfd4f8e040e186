import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { JournalPage } from '../../schema/event.ts'
import { readOf } from '../audit/hook.ts'
import { nothingHere } from '../platform/http/permissions.ts'
import { answersOf, sendCacheable } from '../platform/http/queries.ts'
import { closing } from '../platform/http/server.ts'
import type { Logger } from '../platform/log.ts'
import { type Position, START } from '../platform/position.ts'
import { createMoments } from '../platform/projections/moments.ts'
import { Unavailable } from '../platform/refusal.ts'
import type { Services } from '../services.ts'
import { journalAccess } from './access.ts'
import { journalCategories, parseFilter } from './filter.ts'
import { journal } from './journal.ts'
import { createLiveLog, type TailLimits } from './live-log.ts'
import { readFrom } from './page.ts'
import { streamTo } from './reader.ts'
import { createSights } from './sight.ts'
import { createTurns } from './turns.ts'

export type StreamOptions = {
  /** How often a comment goes to each reader. */
  readonly commentMs?: number
  /** How long a reader may take nothing of what was written to it. */
  readonly stallMs?: number
  /** At once, in this process. */
  readonly maxReaders?: number
  readonly tail?: TailLimits
}

const STREAM = 'text/event-stream'
/** The events that hold what mails say. */
const mailTypes: ReadonlySet<string> = new Set(['EmailReceived', 'EmailSent'])

const Headers = Type.Object(
  {
    'if-none-match': Type.Optional(Type.String({ description: 'An ETag: 304 if the answer is still the same. Of the JSON form.' })),
    'last-event-id': Type.Optional(
      Type.String({ description: 'The position of the last event that was got: a stream goes on right after it, whatever `after` says.' }),
    ),
  },
  { additionalProperties: true },
)

const description = `With \`Accept: ${STREAM}\` the journal comes live, as server-sent events: \`id\` is the position, \`event\` the type, \`data\` the event as JSON.
It goes on after \`Last-Event-ID\` or \`after\`, without a gap and without a double; with neither, at the end of the log. \`limit\` means nothing to it.
Of the events it shows those that the key's other permissions let one see. A comment comes every 15 s, with the position reached: filters may let nothing through for long. Who takes nothing for 30 s is cut off, and can come again.
Of mails whose mailbox does not share all with the reader, what it does not share is left out of \`data\`.`

const example = `retry: 2000
id: 8471.8471

id: 8655.8655
event: ContactRenamed
data: {"id":"0d7a5c2b-9e11-4a8b-9c38-6f1c1a527d0e","type":"ContactRenamed","position":"8655.8655", …}

`

/** `GET /v1/events`: the journal, a page at a time or as a stream, as `Accept` says. */
export function journalRoutes(
  app: FastifyInstance,
  { store, codec, pool, reads }: Pick<Services, 'store' | 'codec' | 'pool' | 'reads'>,
  { commentMs = 15_000, stallMs = 30_000, maxReaders = 1_000, tail }: StreamOptions = {},
): void {
  const sights = createSights(pool, app.log as Logger)
  const moments = createMoments(pool, store)
  const pages = journal(store, codec, sights, moments)
  const openTo = ({ caller: { permissions } }: FastifyRequest) => {
    const open = journalCategories.filter((category) => permissions.has(journalAccess[category]!))
    if (open.length === 0) throw nothingHere()
    return open
  }
  const source = { store, codec }
  const live = createLiveLog({ ...source, sights }, app.log as Logger, tail)
  const turns = createTurns()
  app.closing.addEventListener('abort', () => live.end())

  const answers = answersOf(pages.response)
  const stream = { [STREAM]: { schema: Type.String({ examples: [example] }) } }

  app.get('/v1/events', {
    schema: {
      operationId: pages.operationId,
      summary: pages.summary,
      description,
      tags: ['events'],
      querystring: { ...pages.querystring, additionalProperties: false },
      headers: Headers,
      response: {
        ...answers,
        200: { ...answers[200], description: 'Found; the ETag is of the JSON form.', content: { ...answers[200].content, ...stream } },
      },
    },
    // The same address answers in two forms.
    onSend: async (_request, reply) => void reply.header('vary', 'authorization, accept'),
    async handler(request, reply) {
      const { actor } = request.caller
      if (!wantsStream(request.headers.accept)) {
        const asked = { params: {}, query: request.query as never, viewer: request.caller.viewer, actor }
        const page = (await journal(store, codec, sights, moments, openTo(request)).run(pool, asked)) as Static<typeof JournalPage>
        const mails = new Set(page.data.flatMap(({ type, stream }) => (mailTypes.has(type) ? [stream] : [])))
        await Promise.all([...mails].map((stream) => reads.record(readOf(request, stream))))
        return sendCacheable(request, reply, page)
      }
      const filter = parseFilter(request.query as object, openTo(request))
      const after = placeOf(request) ?? (await store.end()) ?? START
      if (app.closing.aborted) throw closing()
      if (live.listeners() >= maxReaders) throw new Unavailable(`${maxReaders} readers are connected, and there is no room for more.`)
      // Who follows the journal is shown every mail from here on: that he began to is recorded.
      if ([...filter.types].some((type) => mailTypes.has(type))) await reads.record(readOf(request, 'events'))
      request.work.leave()
      head(reply)
      if (request.method === 'HEAD') return void reply.raw.end()
      const stopLooking = sights.keepLooking()
      const options = { source, live, turns, filter, sights, actor, log: request.log as Logger, commentMs, stallMs }
      await streamTo(reply.raw, after, options).finally(stopLooking)
    },
  })
}

/** Where a stream begins by what the caller said. @throws Invalid */
function placeOf({ headers, query }: FastifyRequest): Position | null {
  const { 'last-event-id': last } = headers as Static<typeof Headers>
  const { after } = query as { after?: string }
  if (last) return readFrom(last, '/headers/last-event-id')
  return after === undefined ? null : readFrom(after, '/querystring/after')
}

/** From here on the answer is ours: nothing that Fastify does to answers must happen to it. */
function head(reply: FastifyReply): void {
  reply.hijack()
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': `${STREAM}; charset=utf-8`,
    'cache-control': 'no-store',
    vary: 'authorization, accept',
    // Proxies that gather answers before they pass them on (nginx).
    'x-accel-buffering': 'no',
  })
}

/** Whether `Accept` (RFC 9110 §12.5.1) names the stream and likes JSON no better. A mere wildcard means JSON. */
export function wantsStream(accept: string | undefined): boolean {
  const ranges = (accept ?? '').split(',').map((range) => {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    return { type, weight: weight === undefined ? 1 : Number(weight.slice(2)) }
  })
  const weightOf = (type: string) => ranges.find((range) => range.type === type)?.weight ?? 0
  const weight = weightOf(STREAM)
  return weight > 0 && weight >= weightOf('application/json')
}
