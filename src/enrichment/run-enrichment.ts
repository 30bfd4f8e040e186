import { cachedPages, historyOf } from '../../projections/enrichment-reads.ts'
import type { EnrichedValue } from '../../schema/enrichment.ts'
import type { FetchedPage } from '../../schema/enrichment-events.ts'
import { contact } from '../contacts/contact.ts'
import { mayBeEnriched, recordEnriched } from '../contacts/enriched.ts'
import type { JobRun } from '../platform/jobs.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import { mostOf } from '../providers/openai-prices.ts'
import type { Services } from '../services.ts'
import { answered, completeEnrichment, failEnrichment, pagesRead } from './enrichment.ts'
import { type EnrichmentRun, openRun } from './enrichment-run.ts'
import { EnrichmentEnds } from './ledger.ts'
import { addressesToRead, choose, contentHash, type Material, type Person } from './material.ts'
import { paidCall } from './paid-call.ts'
import { AnswerSchema, INSTRUCTIONS, messageOf, PROMPT_VERSION, readAnswer, UnfitAnswer } from './prompt.ts'

type Ended = { state: 'enriched' | 'failed'; values: number; code?: string }

/**
 * Carries out an enrichment, or goes on with it from where its stream says that it is: pages, then the model's answer, then `ContactEnriched`. It ends as
 * enriched or as failed, for a reason that the stream keeps; what only lasts for a while makes the job come again.
 */
export async function runEnrichment(enrichmentId: string, job: JobRun<Services>): Promise<Ended> {
  const run = await openRun(enrichmentId, job)
  try {
    if (run.state().status === 'running') await carryOut(run, job)
  } catch (error) {
    const end = endOf(error)
    if (!end) throw error
    await run.step('fail', failEnrichment, { code: end.code, message: end.message, costMicroUsd: end.costMicroUsd })
  }
  const { status, values, failure } = run.state()
  return { state: status === 'enriched' ? 'enriched' : 'failed', values: values?.length ?? 0, ...(failure && { code: failure.code }) }
}

/** Errors after which trying again is no use. */
function endOf(error: unknown): EnrichmentEnds | null {
  if (error instanceof EnrichmentEnds) return error
  const isFinal =
    error instanceof Refused && ['contact-not-found', 'contact-not-active', 'contact-not-enrichable', 'erased'].includes(error.code)
  return isFinal ? new EnrichmentEnds(error.code, error.message) : null
}

async function carryOut(run: EnrichmentRun, job: JobRun<Services>): Promise<void> {
  const { services, progress, execute } = job
  const { contactId } = run.state()
  // What is paid for already is finished; nothing new is begun for a contact that is not to be enriched any more.
  if (!run.state().call && !run.state().values) mayBeEnriched(await contactOf(services, contactId))
  progress(0, 3, 'reading pages')
  if (!run.state().pages) await readPages(run, services)
  progress(1, 3, 'asking the model')
  if (!run.state().values) await askModel(run, services)
  progress(2, 3, 'recording')
  const values = run.state().values as EnrichedValue[]
  await execute('enriched', recordEnriched, { enrichmentId: run.enrichmentId, values }, { id: contactId })
  await run.step('complete', completeEnrichment, {})
  progress(3, 3)
}

/** @throws Refused when it was erased */
async function contactOf({ runner }: Services, contactId: string) {
  const events = await runner.load(`contact-${contactId}`)
  if (events.some(({ erased }) => erased)) throw new Refused('erased', 'The contact was erased.', 410)
  return fold(contact, events)
}

async function personOf(services: Services, contactId: string): Promise<Person> {
  const state = await contactOf(services, contactId)
  if (state.status === 'unknown') throw new Refused('contact-not-found', 'There is no such contact.', 404)
  return state
}

async function readPages(run: EnrichmentRun, services: Services): Promise<void> {
  const { enrichmentId, config } = run
  const person = await personOf(services, run.state().contactId)
  const enricher = await services.enrichers.pages()
  const wanted = enricher ? addressesToRead(person) : []
  const since = new Date(run.now().getTime() - config.enrichmentCacheDays * 86_400_000).toISOString()
  const cached = run.state().refresh || config.enrichmentCacheDays === 0 ? new Map() : await cachedPages(services.pool, wanted, since)
  const { call } = run.state()
  const old = wanted.filter((address) => !call?.addresses.includes(address)).flatMap((address): FetchedPage[] => cached.get(address) ?? [])
  const addresses = call ? [...call.addresses] : wanted.filter((address) => !cached.has(address))
  const readAt = () => run.now().toISOString()
  if (!enricher || addresses.length === 0) {
    await run.step('pages', pagesRead, { costMicroUsd: 0, asked: [], readAt: readAt(), pages: old })
    return
  }
  const request = { addresses, name: person.name, company: person.company }
  const callId = uuidv5('pages', enrichmentId)
  const sent = [
    'addresses',
    ...(/\{\{name\}\}/.test(config.apifyInput) ? ['name'] : []),
    ...(/\{\{company\}\}/.test(config.apifyInput) ? ['company'] : []),
  ]
  try {
    const { looked, costMicroUsd } = await paidCall(run, {
      enricher,
      callId,
      microUsd: Math.round(config.apifyRunBudget * 1e6),
      request,
      intent: { contentSha256: contentHash(request), sent, addresses, sources: [] },
      workSeconds: config.apifyRunSeconds,
    })
    if (looked.state === 'failed') throw new EnrichmentEnds(looked.code, looked.message, costMicroUsd)
    const at = readAt()
    const fetched = looked.result.map(
      ({ url, title, text }): FetchedPage => ({
        url,
        ...(title !== undefined && { title }),
        text,
        fetchedAt: at,
        asked: askedOf(url, addresses),
      }),
    )
    await run.step('pages', pagesRead, { callId, costMicroUsd, asked: addresses, readAt: at, pages: [...old, ...fetched] })
  } catch (error) {
    // Without the pages there may still be the mails.
    if (!(error instanceof EnrichmentEnds) || error.code === 'budget-reached') throw error
    const open = run.state().call?.callId
    await run.step('pages', pagesRead, {
      ...(open && { callId: open }),
      costMicroUsd: error.costMicroUsd,
      asked: [],
      readAt: readAt(),
      pages: old,
      fault: error.code,
    })
  }
}

/** Which of the addresses led to a page: the one on its host, else the first. */
const askedOf = (url: string, addresses: readonly string[]): string => {
  const host = (address: string) => URL.parse(address)?.hostname.replace(/^www\./, '')
  return addresses.find((address) => host(address) === host(url)) ?? addresses[0]!
}

async function askModel(run: EnrichmentRun, services: Services): Promise<void> {
  const { enrichmentId } = run
  const { openai, config } = services.enrichers
  const enricher = await services.enrichers.model()
  if (!enricher) throw new EnrichmentEnds('not-set-up', 'No model is set up: set OPENAI_API_KEY.')
  const material = await materialOf(run, services)
  if (material.sources.length === 0 && !run.state().call) throw nothingToRead(run)
  const input = messageOf(material)
  const schema = { name: 'contact_values', schema: structuredClone(AnswerSchema) as unknown as Record<string, unknown> }
  const request = { instructions: INSTRUCTIONS, input, schema }
  const { looked, costMicroUsd } = await paidCall(run, {
    enricher,
    callId: uuidv5('model', enrichmentId),
    microUsd: mostOf(openai, Buffer.byteLength(JSON.stringify(request))),
    request,
    intent: {
      contentSha256: contentHash({ model: config.openaiModel, ...request }),
      sent: material.sent,
      model: config.openaiModel,
      promptVersion: PROMPT_VERSION,
      addresses: [],
      sources: material.sources.map(({ text: _, title: __, ...source }) => source),
    },
    workSeconds: config.openaiAnswerSeconds,
  })
  if (looked.state === 'failed') throw new EnrichmentEnds(looked.code, looked.message, costMicroUsd)
  const { text, inputTokens, outputTokens, model } = looked.result
  let values: EnrichedValue[]
  try {
    values = readAnswer(text, await sourcesOf(run, services), enrichmentId, model)
  } catch (error) {
    if (!(error instanceof UnfitAnswer)) throw error
    throw new EnrichmentEnds('answer-invalid', error.message, costMicroUsd)
  }
  await run.step('answered', answered, { callId: uuidv5('model', enrichmentId), costMicroUsd, inputTokens, outputTokens, values })
}

function nothingToRead(run: EnrichmentRun): EnrichmentEnds {
  const { pagesFault } = run.state()
  if (pagesFault)
    return new EnrichmentEnds(pagesFault, `The pages could not be read (${pagesFault}), and there is no mail that may be used.`)
  return new EnrichmentEnds('nothing-to-read', 'No page was found for the contact, and there is no mail that may be used.')
}

async function materialOf(run: EnrichmentRun, services: Services): Promise<Material> {
  const { contactId, pages } = run.state()
  const person = await personOf(services, contactId)
  return choose(person, pages ?? [], await historyOf(services.pool, contactId))
}

/** The texts that the model was given, as the intent names them; a mail that is gone meanwhile has none. */
async function sourcesOf(run: EnrichmentRun, services: Services) {
  const { sources } = await materialOf(run, services)
  return run.state().sources.map((reference) => {
    const found = sources.find(({ url, emailId }) => (reference.emailId ? emailId === reference.emailId : url === reference.url))
    return { ...reference, text: found?.text ?? '', ...(found?.title !== undefined && { title: found.title }) }
  })
}
