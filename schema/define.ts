import { type Static, type TObject, type TProperties, type TSchema, Type } from '@sinclair/typebox'

/** An event as a decision makes it: no id, revision or metadata yet. */
export type NewEvent<T extends string = string, D = unknown> = { readonly type: T; readonly data: D }

/** An event's declaration: calling it constructs one. */
export type EventType<T extends string = string, P extends TProperties = TProperties> = {
  (data: Static<TObject<P>>): NewEvent<T, Static<TObject<P>>>
  readonly type: T
  readonly version: number
  readonly schema: TObject<P>
  /** The fields that are sealed with the subject's key. */
  readonly personal: readonly string[]
  /** What makes version 2 of version 1's data, then 3 of 2, and so on: one for each version below today's. */
  readonly upcasters: readonly Upcaster[]
}

/**
 * Turns the data of one version into that of the next; pure. It must bear that personal fields are missing: those of an erased event are, and what it
 * puts in their place is left out again.
 */
// biome-ignore lint/suspicious/noExplicitAny: each knows the version that it takes
export type Upcaster = (data: any) => Readonly<Record<string, unknown>>

/** Any event's declaration, where it does not matter which. */
export type AnyEventType = Pick<EventType, 'type' | 'version' | 'schema' | 'personal' | 'upcasters'> & ((data: never) => NewEvent)

/** Every event that a declaration of `events` can construct, as a union. */
export type EventOf<Declared> = { [T in keyof Declared]: Declared[T] extends (data: never) => infer E ? E : never }[keyof Declared]

/** Marks a field of an event as personal: it is stored sealed with the subject's key, so that destroying the key erases it. */
export const personal = <S extends TSchema>(schema: S): S => ({ ...schema, personal: true })

/**
 * Declares events: schema, type and constructor together.
 * Stored for ever: a field may be added as optional, never renamed or retyped; a changed meaning is a new version and an upcaster.
 * @param upcasters of the events that have changed so: today's version is one more than an event has of them
 */
export function events<D extends Record<string, TProperties>>(
  declared: D,
  upcasters: Partial<Record<keyof D, readonly Upcaster[]>> = {},
): { [T in keyof D & string]: EventType<T, D[T]> } {
  const entries = Object.entries(declared).map(([type, properties]) => {
    const make = (data: unknown) => ({ type, data })
    const personalFields = Object.keys(properties).filter((field) => properties[field]?.personal)
    const schema = Type.Object(properties, { additionalProperties: false })
    const steps = upcasters[type] ?? []
    return [type, Object.assign(make, { type, version: 1 + steps.length, schema, personal: personalFields, upcasters: steps })]
  })
  return Object.fromEntries(entries)
}
