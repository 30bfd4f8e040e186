import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import t from 'tap'
import { startEventStore } from '../../src/eventstore/server.ts'
import { Corrupt, createCodec, NO_HEAD } from '../../src/platform/codec.ts'
import { Refused } from '../../src/platform/refusal.ts'
import { isTracing, startSpan, traceBy, traceIds, traceparent, withSpan, withSpanOfBatch } from '../../src/platform/tracing.ts'
import { compileCache } from '../../src/role-processes.ts'
import { type Span, startCollector } from '../support/collector.ts'
import { get, upload } from '../support/imports.ts'
import { testDatabase } from '../support/postgres.ts'
import { startNode, until } from '../support/processes.ts'
import { tallyEvents } from '../support/tally.ts'
import { main, ownEnvironment } from '../support/whole.ts'

const random = (bytes: number) => randomBytes(bytes).toString('hex')

t.test('while it is off, the work is done and nothing else', async (t) => {
  t.equal(isTracing(), false)
  t.equal(await withSpan('any', {}, async () => traceparent() ?? 'none'), 'none')
  t.equal(await withSpanOfBatch('any', [{ traceparent: `00-${random(16)}-${random(8)}-01` }], async () => 7), 7)
  t.equal(startSpan('any'), null)
  t.same(traceIds(), {})
})

t.test('spans', async (t) => {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  traceBy(provider.getTracer('test'))
  t.teardown(() => {
    traceBy(null)
    context.disable()
  })
  const made = () => exporter.getFinishedSpans()
  t.beforeEach(() => exporter.reset())
  const [one, other] = [random(16), random(16)].map((trace) => ({ traceparent: `00-${trace}-${random(8)}-01`, trace }))

  t.test('what is done within a span belongs to it', async (t) => {
    const inner = await withSpan('outer', {}, () => withSpan('inner', {}, async () => traceparent()))
    const [first, second] = made()
    t.match([first?.name, second?.name], ['inner', 'outer'])
    t.equal(first?.parentSpanContext?.spanId, second?.spanContext().spanId)
    t.equal(inner, `00-${second?.spanContext().traceId}-${first?.spanContext().spanId}-01`)
    t.equal(traceparent(), undefined, 'and what is done outside does not')
  })

  t.test('a batch of one trace is its child, of several is linked to each once, of none has no span', async (t) => {
    await withSpanOfBatch('child', [{}, one!, one!], async () => {})
    await withSpanOfBatch('linked', [one!, other!, one!, {}, { traceparent: 'ff-what-ever' }], async () => {})
    await withSpanOfBatch('none', [{}, {}], async () => {})
    const [child, linked, ...others] = made()
    t.match(child, { name: 'child', links: [] })
    t.equal(child!.spanContext().traceId, one!.trace)
    t.same(linked!.links.map(({ context }) => context.traceId).sort(), [one!.trace, other!.trace].sort())
    t.equal(linked!.parentSpanContext, undefined)
    t.same(others, [])
  })

  t.test('a trace that is not kept is not written anywhere', async (t) => {
    const span = await withSpan('dropped', { follows: [{ traceparent: `00-${one!.trace}-${random(8)}-00` }] }, async () => traceparent())
    t.equal(span, undefined)
    t.same(made(), [])
  })

  t.test('an event that is made within a span carries it, under its hash; one that is not is as ever', async (t) => {
    const { Noticed } = tallyEvents
    const vault = { claim: () => Promise.reject(new Error('nothing is personal here')), keys: async () => new Map<string, Buffer | null>() }
    const codec = createCodec({ Noticed }, vault)
    const cause = {
      at: '2026-01-01T00:00:00.000Z',
      actor: 'key:test',
      commandId: 'c',
      request: 'r',
      $correlationId: 'c',
      $causationId: 'c',
    }
    const encode = () => codec.encode([Noticed({})], 'thing-1', NO_HEAD, cause)
    const at = { stream: 'thing-1', revision: 0, position: { commit: 1n, prepare: 1n }, created: cause.at }
    const [traced] = await withSpan('append', {}, encode)
    const [plain] = await encode()
    const [span] = made()
    t.equal(traced!.metadata.traceparent, `00-${span!.spanContext().traceId}-${span!.spanContext().spanId}-01`)
    t.notOk('traceparent' in plain!.metadata)
    t.match(await codec.decode([traced!, plain!].map((event) => ({ ...event, ...at }))), [
      { known: true, meta: traced!.metadata },
      { known: true, meta: plain!.metadata },
    ])
    const changed = { ...traced!.metadata, traceparent: one!.traceparent }
    await t.rejects(codec.decode([{ ...traced!, ...at, metadata: changed }]), Corrupt)
  })

  t.test('an error tells its kind, and never what it says', async (t) => {
    await t.rejects(
      withSpan('failed', {}, () => Promise.reject(new TypeError('of Ada'))),
      TypeError,
    )
    await t.rejects(
      withSpan('refused', {}, () => Promise.reject(new Refused('address-taken', 'ada@example.com is taken.'))),
      Refused,
    )
    const [failed, refused] = made()
    t.match(failed, { attributes: { 'error.type': 'TypeError' }, status: { code: 2 }, events: [] })
    t.match(refused, { attributes: { 'error.type': 'address-taken' }, status: { code: 0 }, events: [] })
    t.notMatch(JSON.stringify([failed!.attributes, failed!.status, refused!.attributes, refused!.status]), /Ada|ada/)
  })
})

t.test('a request’s trace goes over its events to the tables and jobs that follow, through all processes', async (t) => {
  const collector = await startCollector(t)
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-tracing-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { url: databaseUrl } = await testDatabase(t)
  const eventStore = await startEventStore({ file: join(folder, 'events.db') })
  t.teardown(eventStore.close)
  const key = 'a-key-for-tests-0123456789'
  const env = {
    ...ownEnvironment,
    SMARTCRM_DATA: folder,
    SMARTCRM_ADMIN_KEY: key,
    SMARTCRM_MASTER_KEY: random(32),
    PORT: '0',
    NODE_COMPILE_CACHE: compileCache,
    DATABASE_URL: databaseUrl,
    EVENTSTORE_URL: eventStore.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  }
  const start = async (role: string) => {
    const started = startNode(t, [main, role], { cwd: folder, env })
    const line = await started.line(/ is up"/)
    return { ...started, url: JSON.parse(line).url }
  }
  // One after the other: the bound on the wait for each is meant for one.
  const api = await start('api')
  const others = [await start('projector'), await start('worker')]
  const { url } = api

  const traceId = random(16)
  const caller = random(8)
  const answer = await fetch(`${url}/v1/contacts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', traceparent: `00-${traceId}-${caller}-01` },
    body: JSON.stringify({ name: 'Ada Lovelace', methods: [{ type: 'email', value: 'ada@example.com' }] }),
  })
  t.equal(answer.status, 201)
  const { id } = (await answer.json()) as { id: string }
  const seen = await get({ url }, `/v1/contacts/${id}`, { 'smartcrm-after': answer.headers.get('smartcrm-position')!, prefer: 'wait=20' })
  t.equal(seen.status, 200)

  const named = (name: string, trace = traceId) => collector.spans.find((span) => span.traceId === trace && span.name === name)
  const chain = (...spans: (Span | undefined)[]) => spans.slice(1).every((span, index) => span?.parentSpanId === spans[index]?.spanId)
  await until('the span of the tables', () => named('project') && named('POST /v1/contacts'))
  const request = named('POST /v1/contacts')
  t.match(request, { parentSpanId: caller, kind: 2, service: 'smartcrm-api' })
  t.match(request!.attributes, { 'http.request.method': 'POST', 'http.route': '/v1/contacts', 'http.response.status_code': 201 })
  t.ok(chain(request, named('decide createContact'), named('append contact')))
  const projected = collector.spans.filter(({ name, traceId: trace }) => name === 'project' && trace === traceId)
  t.ok(projected.some(({ parentSpanId, service }) => parentSpanId === named('append contact')?.spanId && service === 'smartcrm-projector'))
  const line = JSON.parse(await api.line(/"status":201/))
  t.equal(line.trace_id, traceId, 'the log line of the request names it')

  await upload({ url }, Buffer.from('Name,Email\nGrace Hopper,grace@example.com\n'))
  const uploading = await until('the span of the upload', () => collector.spans.find(({ name }) => name === 'POST /v1/imports'))
  const inJob = (name: string) => named(name, uploading.traceId)
  await until('the span of the job and of what it made', () => inJob('process import') && inJob('append contact'))
  t.equal(inJob('process import')!.service, 'smartcrm-worker')
  t.equal(inJob('process import')!.parentSpanId, inJob('append import')!.spanId, 'the job follows from the event')

  const roles = [api, ...others]
  for (const { child } of roles) child.kill('SIGTERM')
  t.same(await Promise.all(roles.map(({ ended }) => ended)), [0, 0, 0])
  t.notMatch(collector.texts.join('\n'), /\b(Ada|Grace)\b|Lovelace|Hopper|example\.com|a-key-for/i, 'no span says anything of anybody')
})
