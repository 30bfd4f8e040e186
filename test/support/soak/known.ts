/** A contact as what was acknowledged makes it. Only one command at a time is about it, so that this is known to the letter. */
export type Known = {
  id: string
  name: string
  company: string | null
  methods: { id: string; type: string; value: string }[]
  archived: boolean
  revision: number
}
export type Entry = { known: Known; busy: boolean /** Of the last thing that was acknowledged. */; position: string }

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
export type Answer<Body = any> = { status: number; headers: Headers; text: string; body: Body }

/** A command that is to be sent, and what has to come of it. */
export type Command = {
  readonly kind: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Refusals that are right, by their code; every other is a fault. */
  readonly refusals?: readonly string[]
  /**
   * Takes in a success. @returns the types of the events that it must have made of each contact
   * @throws Error with what contradicts what is known
   */
  succeeded(answer: Answer): Map<string, readonly string[]>
  refused?(answer: Answer): void
  /** Nobody else is waiting for these now. */
  done(): void
}

export type Method = { type: string; value: string }
/** What a command makes of a contact. */
export type Change = { name?: string; company?: string | null; archived?: boolean; added?: Method[]; removed?: string }

/** A contact as an answer shows it, without what nobody can foretell. */
export const knownOf = ({ id, name, company, methods, archived, revision }: Known): Known => ({
  id,
  name,
  company,
  methods: methods.map(({ id, type, value }) => ({ id, type, value })),
  archived,
  revision,
})

export const isActive = ({ archived }: Known): boolean => !archived
export const emailOf = ({ methods }: Known): string | undefined => methods.find(({ type }) => type === 'email')?.value
