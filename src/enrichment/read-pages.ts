import { cachedPages } from '../../projections/enrichment-reads.ts'
import type { FetchedPage } from '../../schema/enrichment-events.ts'
import { contact, known } from '../contacts/contact.ts'
import { inOrder } from '../platform/in-order.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { pagesRead } from './enrichment.ts'
import type { EnrichmentRun } from './enrichment-run.ts'
import { EnrichmentEnds } from './ledger.ts'
import { addressesToRead, contentHash, type Person } from './material.ts'
import { pagesCallOf, paidCall } from './paid-call.ts'

type PageReader = Awaited<ReturnType<Services['enrichers']['pages']>>

/** @throws Refused when it was erased */
export async function contactOf({ runner }: Services, contactId: string) {
  const events = await runner.load(`contact-${contactId}`)
  if (events.some(({ erased }) => erased)) throw new Refused('erased', 'The contact was erased.', 410)
  return fold(contact, events)
}

export async function personOf(services: Services, contactId: string): Promise<Person> {
  const state = await contactOf(services, contactId)
  return known(state)
}

/** Colleagues have one site: in a process it is read for one of them at a time, so that the others find it read. */
const sites = inOrder()

/** Reads the contact's pages by an actor, as far as they were not read lately. Without them there may still be the mails, so it ends only with the budget. */
export async function readPages(run: EnrichmentRun, services: Services): Promise<void> {
  const person = await personOf(services, run.state().contactId)
  const enricher = await services.enrichers.pages()
  const { call } = run.state()
  const wanted = enricher ? addressesToRead(person) : []
  await sites(call ? [] : wanted, () => readThese(run, services, person, enricher, wanted))
}

async function readThese(
  run: EnrichmentRun,
  services: Services,
  person: Person,
  enricher: PageReader,
  wanted: readonly string[],
): Promise<void> {
  const { enrichmentId, config } = run
  const { call } = run.state()
  run.signal.throwIfAborted()
  const known = run.state().refresh ? new Map<string, FetchedPage[]>() : await knownPages(run, services, wanted)
  const old = wanted.filter((address) => !call?.addresses.includes(address)).flatMap((address): FetchedPage[] => known.get(address) ?? [])
  const addresses = call ? [...call.addresses] : wanted.filter((address) => !known.has(address))
  const readAt = () => run.now().toISOString()
  if (!enricher || addresses.length === 0) {
    await run.step('pages', pagesRead, { costMicroUsd: 0, asked: [], readAt: readAt(), pages: old })
    return
  }
  const request = { addresses, name: person.name, company: person.company }
  const callId = pagesCallOf(enrichmentId)
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
    for (const address of addresses)
      justRead(
        services,
        address,
        at,
        fetched.filter(({ asked }) => asked === address).map((page) => ({ ...page, cachedFrom: enrichmentId })),
      )
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

/** What was read in this process lately, which the tables may not know yet. */
const recent = new WeakMap<Services, Map<string, { at: string; pages: FetchedPage[] }>>()
const MOST_RECENT = 500

function justRead(services: Services, address: string, at: string, pages: FetchedPage[]): void {
  const read = recent.get(services) ?? new Map()
  recent.set(services, read.set(address, { at, pages }))
  if (read.size > MOST_RECENT) read.delete(read.keys().next().value!)
}

/** Pages that need not be read again, by the address that led to them. */
async function knownPages(
  { config, now }: EnrichmentRun,
  services: Services,
  wanted: readonly string[],
): Promise<Map<string, FetchedPage[]>> {
  if (config.enrichmentCacheDays === 0) return new Map()
  const since = new Date(now().getTime() - config.enrichmentCacheDays * 86_400_000).toISOString()
  const known = await cachedPages(services.pool, wanted, since)
  for (const address of wanted) {
    const read = recent.get(services)?.get(address)
    if (read && read.at > since && !known.has(address)) known.set(address, read.pages)
  }
  return known
}

/** Which of the addresses led to a page: the one on its host, else the first. */
const askedOf = (url: string, addresses: readonly string[]): string => {
  const host = (address: string) => URL.parse(address)?.hostname.replace(/^www\./, '')
  return addresses.find((address) => host(address) === host(url)) ?? addresses[0]!
}
