/** One wrong thing about a request: a JSON Pointer into it (RFC 6901), and what is wrong with it. */
export type Fault = { readonly path: string; readonly message: string }

/** A decision's "no": a code for programs and a sentence for people. It leaves no trace in the log. */
export class Refused extends Error {
  readonly code: string
  readonly status: number
  readonly details: Record<string, unknown>
  readonly retryAfterSeconds: number | undefined
  /** @param status the HTTP status that says the same (409 unless given) */
  constructor(code: string, message: string, status = 409, details: Record<string, unknown> = {}, retryAfterSeconds?: number) {
    super(message)
    this.name = 'Refused'
    this.code = code
    this.status = status
    this.details = details
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** What is asked for is found under other parameters of the path by now (301). */
export class Moved extends Error {
  readonly params: Readonly<Record<string, string>>
  constructor(params: Readonly<Record<string, string>>) {
    super('It is found elsewhere by now.')
    this.name = 'Moved'
    this.params = params
  }
}

/** A request that is wrong in itself, with every fault that was found. */
export class Invalid extends Error {
  readonly faults: readonly Fault[]
  constructor(faults: readonly Fault[]) {
    super(faults.map(({ path, message }) => `${path || '/'} ${message}`).join('; '))
    this.name = 'Invalid'
    this.faults = faults
  }
}

/** Something that is needed is away for now (503): trying again later, with the same Idempotency-Key, is safe. */
export class Unavailable extends Error {
  readonly retryAfterSeconds: number
  constructor(message: string, options: { cause?: unknown; retryAfterSeconds?: number } = {}) {
    super(message, { cause: options.cause })
    this.name = 'Unavailable'
    this.retryAfterSeconds = options.retryAfterSeconds ?? 2
  }
}
