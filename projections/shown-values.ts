import {
  type Enriched,
  type EnrichedValue,
  type Field,
  fieldNames,
  fields,
  type ShownValue,
  type SourceKind,
  sourceKinds,
  type ValueReason,
  type ValueState,
} from '../schema/enrichment.ts'

/** A value as it was proposed, and what somebody decided of it since; revisions are the contact's. */
export type ProposedValue = EnrichedValue & {
  readonly enrichmentId: string
  readonly proposedIn: number
  readonly decision: 'accepted' | 'rejected' | null
  readonly decidedIn: number | null
}

/** Everything that decides what is shown of a contact beside its own fields. */
export type EnrichmentFacts = {
  readonly values: readonly ProposedValue[]
  /** What a person said of a field: its values, none for "there is nothing", null when nobody said anything (any more). */
  readonly own: readonly {
    readonly field: Field
    readonly values: readonly string[] | null
    readonly ownIn: number
    readonly lockedIn: number | null
    /** The ids of those values that were shown when it was locked. */
    readonly shown?: readonly string[] | null
  }[]
  /** The contact's own methods, those that were removed too. */
  readonly methods: readonly { readonly field: Field; readonly value: string; readonly removed: boolean }[]
  readonly undone: readonly string[]
  /** The best source first. */
  readonly order: readonly SourceKind[]
}

export type Verdict = { readonly state: ValueState; readonly because: ValueReason }

/** What two ways of writing the same value have in common. */
export function sameness(field: Field, value: string): string {
  if (field === 'phones') return value.replaceAll(/\D/g, '').replace(/^00/, '')
  const plain = value.normalize('NFKC').trim().toLowerCase().replaceAll(/\s+/g, ' ')
  return field === 'website' || field === 'socialProfiles' ? plain.replace(/^https?:\/\/(www\.)?/, '').replace(/\/+$/, '') : plain
}

/**
 * Which values are applied, and why the others are not. People come first: what they set, removed, accepted or rejected holds whatever enrichments find,
 * before or after; of two words of people on a field the later one. Then values count whose evidence is in the text, the newest of each source, by the
 * order of sources. A locked field stays as it is shown: nothing counts but what was shown when it was locked, and people's words. Pure, and asked whenever a contact is read: another order shows other values of the same events.
 */
export function verdicts(facts: EnrichmentFacts): Map<string, Verdict> {
  const found = new Map<string, Verdict>()
  for (const field of fieldNames) {
    const values = facts.values.filter((value) => value.field === field)
    if (values.length > 0) for (const [id, verdict] of ofField(field, values, facts)) found.set(id, verdict)
  }
  return found
}

const applied = (because: ValueReason): Verdict => ({ state: 'applied', because })
const proposed = (because: ValueReason): Verdict => ({ state: 'proposed', because })
const rejected = (because: ValueReason): Verdict => ({ state: 'rejected', because })

function ofField(field: Field, values: readonly ProposedValue[], facts: EnrichmentFacts): Map<string, Verdict> {
  const said = facts.own.find((own) => own.field === field)
  const ownIn = said && said.values !== null ? said.ownIn : -1
  const lockedIn = said?.lockedIn ?? null
  const frozen = said?.shown
  /** The lock holds it back: it was not shown when the field was locked. */
  const isHeldBack = ({ id, proposedIn }: ProposedValue) => lockedIn !== null && (frozen ? !frozen.includes(id) : proposedIn > lockedIn)
  const methods = facts.methods.filter((method) => method.field === field)
  const hasOwn = ownIn >= 0 || (fields[field].single && methods.some(({ removed }) => !removed))
  const owned = new Set([...(said?.values ?? []), ...methods.map(({ value }) => value)].map((value) => sameness(field, value)))
  const turnedDown = new Map<string, number>()
  for (const { decision, decidedIn, value } of values)
    if (decision) {
      const key = sameness(field, value)
      const before = turnedDown.get(key)
      if (before === undefined || Math.abs(before) < decidedIn!) turnedDown.set(key, decision === 'rejected' ? decidedIn! : -decidedIn!)
    }
  /** Somebody rejected just this, and nobody accepted it later. */
  const isTurnedDown = (value: string) => (turnedDown.get(sameness(field, value)) ?? -1) > 0
  const newest = newestOfSources(
    values.filter((value) => !isHeldBack(value)),
    facts.undone,
  )

  const verdict = new Map<string, Verdict>()
  const candidates: ProposedValue[] = []
  for (const value of values) {
    const { id, decision, decidedIn, enrichmentId, isSupported, proposedIn } = value
    const isAccepted = decision === 'accepted' && decidedIn! > ownIn
    const ruled = isAccepted
      ? null
      : decision === 'rejected'
        ? rejected('rejected')
        : facts.undone.includes(enrichmentId)
          ? rejected('undone')
          : hasOwn || owned.has(sameness(field, value.value))
            ? proposed('own-value')
            : isTurnedDown(value.value)
              ? proposed('rejected-before')
              : !isSupported
                ? proposed('no-evidence')
                : isHeldBack(value)
                  ? proposed('locked')
                  : newest.get(value.source.kind) !== proposedIn
                    ? proposed('superseded')
                    : null
    if (ruled) verdict.set(id, ruled)
    else candidates.push(value)
  }
  const isAccepted = ({ decision }: ProposedValue) => decision === 'accepted'
  const rank = ({ source }: ProposedValue) => {
    const place = facts.order.indexOf(source.kind)
    return place === -1 ? facts.order.length + sourceKinds.indexOf(source.kind) : place
  }
  candidates.sort(
    (a, b) =>
      Number(isAccepted(b)) - Number(isAccepted(a)) ||
      (isAccepted(a) ? b.decidedIn! - a.decidedIn! : 0) ||
      rank(a) - rank(b) ||
      b.proposedIn - a.proposedIn ||
      b.confidence - a.confidence ||
      (a.id < b.id ? -1 : 1),
  )
  const taken = new Set<string>()
  for (const value of candidates) {
    const key = sameness(field, value.value)
    const goesBehind = fields[field].single ? taken.size > 0 : taken.has(key)
    taken.add(key)
    verdict.set(value.id, goesBehind ? proposed('other-source') : applied(isAccepted(value) ? 'accepted' : 'best'))
  }
  return verdict
}

/** In which event each source was last heard of on this field; what is undone does not count. */
function newestOfSources(values: readonly ProposedValue[], undone: readonly string[]): Map<SourceKind, number> {
  const newest = new Map<SourceKind, number>()
  for (const { source, proposedIn, enrichmentId } of values)
    if (!undone.includes(enrichmentId) && proposedIn > (newest.get(source.kind) ?? -1)) newest.set(source.kind, proposedIn)
  return newest
}

/** What is shown of each field. The contact's own company and methods are shown by the contact itself, and are not among these. */
export function shownValues(facts: EnrichmentFacts): Enriched {
  const verdict = verdicts(facts)
  const shown: Record<string, ShownValue | ShownValue[]> = {}
  for (const field of fieldNames) {
    const said = facts.own.find((own) => own.field === field)
    const own = field === 'company' ? [] : (said?.values ?? [])
    const byPerson = own.map((value): ShownValue => ({ value, valueId: null, by: 'person', source: null }))
    const found = facts.values
      .filter((value) => value.field === field && verdict.get(value.id)?.state === 'applied')
      .map(({ id, value, source }): ShownValue => ({ value, valueId: id, by: 'enrichment', source }))
    // Of a single field, a value that was accepted after a person's word stands in its place.
    const all = fields[field].single ? (found.length > 0 ? found : byPerson).slice(0, 1) : [...byPerson, ...found]
    if (all.length > 0) shown[field] = fields[field].single ? all[0]! : all
  }
  return shown as Enriched
}
