/** What every event changes is no news. */
const UNTOLD = new Set(['id', 'revision', 'createdAt', 'updatedAt'])

export type Change = { field: string; from: unknown; to: unknown }

/** What became different of a thing as it is shown: fields by their JSON Pointer, entries of a list that have an id by that. */
export function differences(before: object, after: object): Change[] {
  const old = before as Record<string, unknown>
  const now = after as Record<string, unknown>
  const fields = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((field) => !UNTOLD.has(field))
  return fields.flatMap((field): Change[] => {
    const from = old[field] ?? null
    const to = now[field] ?? null
    if (JSON.stringify(from) === JSON.stringify(to)) return []
    if (isListed(from ?? to) && isListed(to ?? from)) return listDifferences(field, (from ?? []) as Listed[], (to ?? []) as Listed[])
    return [{ field: `/${field}`, from, to }]
  })
}

type Listed = { id: string }
const isListed = (value: unknown) => Array.isArray(value) && value.every((item) => typeof item?.id === 'string')

function listDifferences(field: string, from: readonly Listed[], to: readonly Listed[]): Change[] {
  const ids = [...new Set([...from, ...to].map(({ id }) => id))]
  return ids.flatMap((id): Change[] => {
    const old = from.find((item) => item.id === id) ?? null
    const now = to.find((item) => item.id === id) ?? null
    return JSON.stringify(old) === JSON.stringify(now) ? [] : [{ field: `/${field}/${id}`, from: old, to: now }]
  })
}
