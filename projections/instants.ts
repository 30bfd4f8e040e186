import { type Fault, Invalid } from '../src/platform/refusal.ts'
import { normaliseValue } from '../src/platform/values.ts'

/** A query's parameters with these instants as the tables hold them. @throws Invalid naming each that has no time zone, or is none */
export function withInstants<const N extends string, Q extends { readonly [P in N]?: string | undefined }>(
  query: Q,
  names: readonly N[],
): Q {
  const faults: Fault[] = []
  const read: Record<string, unknown> = { ...query }
  for (const name of names) {
    if (query[name] === undefined) continue
    try {
      read[name] = normaliseValue.instant(query[name])
    } catch {
      faults.push({ path: `/querystring/${name}`, message: 'must be an instant with its time zone, like 2026-03-01T09:30:00Z' })
    }
  }
  if (faults.length > 0) throw new Invalid(faults)
  return read as Q
}
