import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../../src/platform/ports.ts'
import { createApify, inputOf } from '../../src/providers/apify.ts'
import { type Enricher, NotTaken, OutcomeUnknown, retryAfterOf, VendorAway, VendorRefused } from '../../src/providers/enricher.ts'
import { createOpenAi } from '../../src/providers/openai.ts'
import { startApify } from '../support/apify/apify.ts'
import { startOpenAi } from '../support/openai/openai.ts'
import { startNode } from '../support/processes.ts'
import { until } from '../support/projections.ts'
import type { HttpFault } from '../support/vendors/http.ts'

type StandIn = {
  settings: { faults: { on: 'start' | 'read'; fault: HttpFault | null }[] }
  startsByCause(): Record<string, number>
  requests: string[]
}
type Subject<Request = never, Result = unknown> = {
  enricher: Enricher<Request, Result>
  request: Request
  standIn: StandIn
  /** The next work never ends. */
  endless(): void
  /** The next work ends badly. */
  ending(): { code: RegExp }
  isResult(result: Result): boolean
  /** The same vendor at an address where nobody is, and with a wrong key. */
  at(url: string, key?: string): Enricher<Request, Result>
}

const page = { url: 'https://engines.example.com/', title: 'About', text: 'Ada Lovelace is our Head of Operations at Engines. '.repeat(60) }

const apify = async (t: Test): Promise<Subject<Parameters<ReturnType<typeof createApify>['start']>[1], readonly { text: string }[]>> => {
  const standIn = await startApify(t, { pages: { [page.url]: page } })
  const make = (url: string, token = standIn.token) =>
    createApify({
      url,
      token,
      actor: 'acme/reader',
      inputTemplate: '{"startUrls":"{{startUrls}}"}',
      runSeconds: 60,
      maxUsd: 0.1,
      answerSeconds: 1,
    })
  return {
    enricher: make(standIn.url),
    request: { addresses: [page.url], name: 'Ada Lovelace', company: null },
    standIn,
    endless: () => void standIn.settings.runFaults.push('run-never-ends'),
    ending: () => {
      standIn.settings.runFaults.push('run-failed')
      return { code: /^run-failed$/ }
    },
    isResult: (pages) => pages.length === 1 && pages[0]!.text === page.text,
    at: make,
  }
}

const openai = async (t: Test): Promise<Subject<Parameters<ReturnType<typeof createOpenAi>['start']>[1], { text: string }>> => {
  const standIn = await startOpenAi(t)
  const make = (url: string, key = standIn.key) =>
    createOpenAi({ url, key, model: 'gpt-5-mini', inputPrice: 0.25, outputPrice: 2, maxOutputTokens: 500, answerSeconds: 1 })
  const schema = {
    type: 'object',
    properties: { values: { type: 'array', items: { type: 'string' } } },
    required: ['values'],
    additionalProperties: false,
  }
  return {
    enricher: make(standIn.url),
    request: {
      instructions: 'Say what is there.',
      input: JSON.stringify({ sources: [{ id: 's1', kind: 'company-page', text: page.text }] }),
      schema: { name: 'values', schema },
    },
    standIn,
    endless: () => void standIn.settings.answerFaults.push('never-ends'),
    ending: () => {
      standIn.settings.answerFaults.push('failed')
      return { code: /^answer-failed$/ }
    },
    isResult: ({ text }) => JSON.parse(text).values[0].value === 'Head of Operations',
    at: make,
  }
}

const thrown = async (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => new Error('Nothing was thrown.'),
    (error) => error,
  )

/** What every vendor of enrichment does. */
async function contract<Request, Result>(t: Test, subjectOf: (t: Test) => Promise<Subject<Request, Result>>): Promise<void> {
  const ended = async ({ enricher }: Subject<Request, Result>, id: string) => {
    for (;;) {
      const looked = await enricher.look(id, 1)
      if (looked.state !== 'running') return looked
    }
  }

  t.test('what is begun runs, and ends with its result and what it cost; it is paid once, however often it is asked after', async (t) => {
    const subject = await subjectOf(t)
    const cause = randomUUID()
    const id = await subject.enricher.start(cause, subject.request)
    const looked = await ended(subject, id)
    t.equal(looked.state, 'done')
    if (looked.state === 'done') t.ok(subject.isResult(looked.result), JSON.stringify(looked.result).slice(0, 200))
    t.ok(looked.costMicroUsd! > 0 && Number.isInteger(looked.costMicroUsd))
    await ended(subject, id)
    t.strictSame(subject.standIn.startsByCause(), { [cause]: 1 })
  })

  t.test('what ends badly says so in a code, a sentence and what it cost all the same', async (t) => {
    const subject = await subjectOf(t)
    const { code } = subject.ending()
    const looked = await ended(subject, await subject.enricher.start(randomUUID(), subject.request))
    t.match(looked, { state: 'failed', code, message: /\w+ .*\.$/ })
  })

  t.test('what never ends goes on running until it is cancelled', async (t) => {
    const subject = await subjectOf(t)
    subject.endless()
    const id = await subject.enricher.start(randomUUID(), subject.request)
    t.strictSame(await subject.enricher.look(id, 0), { state: 'running' })
    await subject.enricher.cancel(id)
    t.match(await ended(subject, id), { state: 'failed' })
  })

  t.test('where surely nothing was begun, a start says so: too many requests, nobody there', async (t) => {
    const subject = await subjectOf(t)
    subject.standIn.settings.faults.push({ on: 'start', fault: 'rate-limited' })
    const limited = await thrown(subject.enricher.start(randomUUID(), subject.request))
    t.ok(limited instanceof NotTaken && limited.code === 'rate-limited', limited.message)
    const unreachable = await thrown(subject.at(`http://127.0.0.1:${await freePort()}`).start(randomUUID(), subject.request))
    t.ok(unreachable instanceof NotTaken && unreachable.code === 'unreachable', String(unreachable))
    t.strictSame(subject.standIn.startsByCause(), {})
  })

  for (const fault of ['error-before', 'error-after', 'hang-before', 'hang-after', 'hang-up', 'cut'] as const) {
    t.test(`a start whose answer is lost is of unknown outcome, and is not tried again by itself: ${fault}`, async (t) => {
      const subject = await subjectOf(t)
      subject.standIn.settings.faults.push({ on: 'start', fault })
      const cause = randomUUID()
      const since = new Date().toISOString()
      const error = await thrown(subject.enricher.start(cause, subject.request))
      t.ok(error instanceof OutcomeUnknown, String(error))
      const begun = subject.standIn.startsByCause()[cause] ?? 0
      t.equal(begun, fault.endsWith('before') ? 0 : 1)
      const found = await subject.enricher.find(cause, since)
      if (found === undefined) t.equal(subject.enricher.vendor, 'openai', 'has no way to tell')
      else t.equal(found !== null, begun === 1, 'and whether it was begun can be found out')
      if (found) t.match(await ended(subject, found), { state: 'done' })
      t.equal(subject.standIn.startsByCause()[cause] ?? 0, begun)
    })
  }

  t.test('a question that is not answered as it should be can be asked again', async (t) => {
    const subject = await subjectOf(t)
    const id = await subject.enricher.start(randomUUID(), subject.request)
    for (const fault of ['rate-limited', 'error-before', 'hang-before', 'hang-up', 'cut'] as const) {
      subject.standIn.settings.faults.push({ on: 'read', fault })
      const error = await thrown(subject.enricher.look(id, 0))
      t.ok(error instanceof VendorAway, `${fault}: ${error}`)
    }
    t.match(await ended(subject, id), { state: 'done' })
  })

  t.test('a key that is not accepted is said to be that, and nothing is begun', async (t) => {
    const subject = await subjectOf(t)
    const url =
      subject.enricher.vendor === 'openai'
        ? `${(subject.standIn as unknown as { url: string }).url}`
        : (subject.standIn as unknown as { url: string }).url
    const error = await thrown(subject.at(url, 'wrong').start(randomUUID(), subject.request))
    t.ok(error instanceof VendorRefused && error.code === 'key-refused', String(error))
    t.notMatch(JSON.stringify([error.message]), /wrong/)
  })
}

t.test('Apify', (t) => contract(t, apify))
t.test('OpenAI', (t) => contract(t, openai))

t.test('a run is found by its marker among many, also when its input is larger than what is sent uncompressed', async (t) => {
  const { enricher, request, standIn } = await apify(t)
  const since = new Date().toISOString()
  const [wanted, ...others] = Array.from({ length: 5 }, () => randomUUID())
  for (const cause of [...others, wanted!]) await enricher.start(cause, { ...request, name: 'Ada '.repeat(1_000) })
  const found = await enricher.find(wanted!, since)
  await until(async () => (await enricher.look(found!, 0)).state === 'done')
  t.equal(await enricher.find(randomUUID(), since), null)
  t.equal(standIn.requests.filter((line) => line.startsWith('POST')).length, 5)
})

t.test('a page of 5 MB is cut to what is looked at', async (t) => {
  const { enricher, request, standIn } = await apify(t)
  ;(standIn as unknown as { settings: { runFaults: string[] } }).settings.runFaults.push('huge')
  const id = await enricher.start(randomUUID(), request)
  for (;;) {
    const looked = await enricher.look(id, 1)
    if (looked.state === 'running') continue
    t.ok(looked.state === 'done' && looked.result[0]!.text.length === 20_000)
    break
  }
})

t.test('answers of a model that are none fail in words', async (t) => {
  for (const [fault, code] of [
    ['refusal', 'answer-refused'],
    ['incomplete', 'answer-incomplete'],
    ['failed', 'answer-failed'],
    ['lost', 'answer-lost'],
  ] as const) {
    const { enricher, request, standIn } = await openai(t)
    ;(standIn as unknown as { settings: { answerFaults: string[] } }).settings.answerFaults.push(fault)
    const id = await enricher.start(randomUUID(), request)
    await until(async () => (await enricher.look(id, 0)).state !== 'running')
    t.match(await enricher.look(id, 0), { state: 'failed', code })
  }
})

t.test('the input of an actor is the template, filled', async (t) => {
  const asked = { addresses: ['https://a.example.com/', 'https://b.example.com/'], name: 'Ada "{{cause}}" Lovelace', company: null }
  t.strictSame(inputOf('{"startUrls":"{{startUrls}}","list":["{{urls}}"],"q":"who is {{name}} of {{company}}","n":3}', 'c1', asked), {
    startUrls: [{ url: 'https://a.example.com/' }, { url: 'https://b.example.com/' }],
    list: [['https://a.example.com/', 'https://b.example.com/']],
    q: 'who is Ada "{{cause}}" Lovelace of ',
    n: 3,
    smartcrmCause: 'c1',
  })
})

t.test('Retry-After is read in both of its forms', async (t) => {
  const now = new Date('2026-03-01T09:30:00Z')
  t.equal(retryAfterOf('7', now), 7)
  t.equal(retryAfterOf('Sun, 01 Mar 2026 09:31:00 GMT', now), 60)
  t.equal(retryAfterOf('soon', now), undefined)
  t.equal(retryAfterOf(null, now), undefined)
})

t.test('the stand-ins run as a process of their own, with a door to say what goes wrong', async (t) => {
  const { line } = startNode(t, [join(import.meta.dirname, '../support/vendors/main.ts')])
  const { apify, openai } = JSON.parse(await line(/^\{/))
  const reader = createApify({ ...apify, actor: 'acme/reader', inputTemplate: '{}', runSeconds: 60, maxUsd: 0.1, answerSeconds: 2 })
  const control = async (url: string, body: object) =>
    (await fetch(`${url}/control`, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<{
      startsByCause: Record<string, number>
    }>
  await control(apify.url, { faults: [{ on: 'start', fault: 'rate-limited' }] })
  const cause = randomUUID()
  const request = { addresses: [], name: 'Ada', company: null }
  t.ok((await thrown(reader.start(cause, request))) instanceof NotTaken)
  await reader.start(cause, request)
  t.strictSame((await control(apify.url, {})).startsByCause, { [cause]: 1 })
  t.strictSame((await control(openai.url.replace(/\/v1$/, ''), {})).startsByCause, {})
})
