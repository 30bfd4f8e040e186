import { historyOf } from '../../projections/enrichment-reads.ts'
import { restrictionsOf } from '../../projections/mail-visibility.ts'
import type { EnrichedValue } from '../../schema/enrichment.ts'
import { contact, isKnown } from '../contacts/contact.ts'
import { mayBeEnriched, recordEnriched } from '../contacts/enriched.ts'
import { streamOf, withSurvivor } from '../contacts/merging.ts'
import { Failed, JobAborted, type JobRun } from '../platform/jobs.ts'
import { Refused, Unavailable } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import { mostOf } from '../providers/openai-prices.ts'
import type { Services } from '../services.ts'
import { answered, completeEnrichment, failEnrichment } from './enrichment.ts'
import { type EnrichmentRun, openRun } from './enrichment-run.ts'
import { EnrichmentEnds, settle } from './ledger.ts'
import { choose, contentHash, type Material } from './material.ts'
import { modelCallOf, pagesCallOf, paidCall } from './paid-call.ts'
import { AnswerSchema, INSTRUCTIONS, messageOf, PROMPT_VERSION, readAnswer, UnfitAnswer } from './prompt.ts'
import { contactOf, personOf, readPages } from './read-pages.ts'
import { monthOf, spendingIdOf } from './spending.ts'

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
    await endWith(run, job, error)
  }
  const { status, values, failure } = run.state()
  return { state: status === 'enriched' ? 'enriched' : 'failed', values: values?.length ?? 0, ...(failure && { code: failure.code }) }
}

/** After so many attempts a fault of our own ends an enrichment, too: it must not come back for ever. */
const OWN_FAULTS = 20

/** Records an end, where the error is one. @throws the error, where trying again helps */
async function endWith(run: EnrichmentRun, { signal, attempt }: JobRun<Services>, error: unknown): Promise<void> {
  const end = endOf(error) ?? (isCancelled(signal) ? await cancelled(run) : null)
  if (end) return run.step('fail', failEnrichment, { code: end.code, message: end.message, costMicroUsd: end.costMicroUsd })
  // Another worker brought it to its end.
  if (error instanceof Refused && (await run.reload()).status !== 'running') return
  const isForAWhile =
    signal.aborted ||
    error instanceof Failed ||
    error instanceof Unavailable ||
    (error instanceof Refused && error.retryAfterSeconds !== undefined)
  if (isForAWhile || attempt < OWN_FAULTS)
    throw error instanceof Refused && error.retryAfterSeconds === undefined ? new Failed(error.code, error.message) : error
  run.log.error({ err: error }, 'an enrichment failed by a fault of our own')
  const { call } = run.state()
  const costMicroUsd = call?.estimatedMicroUsd ?? 0
  await run.step('fail', failEnrichment, {
    code: 'internal-error',
    message: 'Something went wrong that should not have. It was logged.',
    costMicroUsd,
  })
}

const isCancelled = ({ aborted, reason }: AbortSignal) => aborted && reason instanceof JobAborted && reason.reason === 'cancelled'

const CANCELLED = 'Somebody cancelled it.'

/** Somebody cancelled the job: a call that is open counts as paid. */
async function cancelled(run: EnrichmentRun): Promise<EnrichmentEnds> {
  const { call } = run.state()
  const costMicroUsd = call?.estimatedMicroUsd ?? 0
  if (call) await settle(run, { callId: call.callId, vendor: call.vendor, microUsd: costMicroUsd }, 'unknown', costMicroUsd, 'same')
  return new EnrichmentEnds('cancelled', CANCELLED, costMicroUsd)
}

/**
 * Ends an enrichment whose job was cancelled, unless whoever was at it has done so: it may have been waiting, or its worker was killed. Settled is by what
 * the stream says once it is over: what is open counts as paid, and what was reserved and never intended is given back. A worker that is still at it begins
 * nothing more, since it cannot intend it.
 */
export async function endCancelled(enrichmentId: string, job: JobRun<Services>): Promise<Record<string, never>> {
  const run = await openRun(enrichmentId, job)
  const { status, call: open } = run.state()
  if (status === 'running') {
    const end = { code: 'cancelled', message: CANCELLED, costMicroUsd: open?.estimatedMicroUsd ?? 0 }
    await run.step('fail', failEnrichment, end).catch(async (error) => {
      if (!(error instanceof Refused) || (await run.reload()).status === 'running') throw error
    })
  }
  const { call } = run.state()
  const months = [run.requestedAt(), run.now().toISOString()].map((at) => spendingIdOf(monthOf(at)))
  for (const [vendor, callId] of [
    ['apify', pagesCallOf(enrichmentId)],
    ['openai', modelCallOf(enrichmentId)],
  ] as const) {
    const isOpen = call?.callId === callId
    const microUsd = isOpen ? call.estimatedMicroUsd : 0
    for (const spendingId of new Set(isOpen ? [call.spendingId] : months))
      await settle(run, { callId, vendor, microUsd }, isOpen ? 'unknown' : 'not-taken', microUsd, 'same', undefined, spendingId)
  }
  return {}
}

/** Errors after which trying again is no use. */
function endOf(error: unknown): EnrichmentEnds | null {
  if (error instanceof EnrichmentEnds) return error
  const isFinal =
    error instanceof Refused &&
    ['contact-not-found', 'contact-not-active', 'contact-not-enrichable', 'contact-merged', 'erased'].includes(error.code)
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
  await execute('enriched', recordEnriched, { enrichmentId: run.enrichmentId, values }, { id: await livingOf(services, contactId) })
  await run.step('complete', completeEnrichment, {})
  progress(3, 3)
}

/** What is paid for is not lost where the contact was merged in the meantime: it is proposed to the one that it is part of. */
async function livingOf({ runner }: Services, contactId: string): Promise<string> {
  const state = fold(contact, await runner.load(streamOf(contactId)))
  return (isKnown(state) && (await withSurvivor(runner, state)).mergedInto?.into) || contactId
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
    callId: modelCallOf(enrichmentId),
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
  await run.step('answered', answered, { callId: modelCallOf(enrichmentId), costMicroUsd, inputTokens, outputTokens, values })
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
  const history = await historyOf(services.pool, contactId)
  // A vendor is nobody whom a mailbox is shared with beyond what it shares with all.
  const restricted = await restrictionsOf(
    services.pool,
    undefined,
    history.map(({ emailId }) => emailId),
  )
  return choose(person, pages ?? [], history, {
    visibilityOf: ({ emailId }) => restricted.get(emailId) ?? 'everything',
    isHidden: (address) => services.concealed.has(address),
  })
}

/** The texts that the model was given, as the intent names them; a mail that is gone meanwhile has none. */
async function sourcesOf(run: EnrichmentRun, services: Services) {
  const { sources } = await materialOf(run, services)
  return run.state().sources.map((reference) => {
    const found = sources.find(({ url, emailId }) => (reference.emailId ? emailId === reference.emailId : url === reference.url))
    return { ...reference, text: found?.text ?? '', ...(found?.title !== undefined && { title: found.title }) }
  })
}
