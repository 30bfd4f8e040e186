import { randomBytes } from 'node:crypto'
import type { Random } from '../soak/random.ts'
import type { Asked, Mix, Said } from '../vendors/http.ts'
import { nextFault, type StandInSettings, startStandIn, type Teardown } from '../vendors/stand-in.ts'
import { type Material, type ModelName, models } from './models.ts'

/** How a response may turn out, beside well. `lost`: it is not kept long enough to be fetched. */
export const answerFaults = ['refusal', 'incomplete', 'other-schema', 'no-json', 'failed', 'never-ends', 'lost'] as const
export type AnswerFault = (typeof answerFaults)[number]

type Request = {
  model: string
  input: { role: string; content: { type: string; text: string }[] }[]
  metadata?: Record<string, string>
  background?: boolean
  store?: boolean
  text?: unknown
  instructions?: string
  max_output_tokens?: number
}
type Response = { id: string; request: Request; createdAt: number; endsAt: number; fault: AnswerFault | null; cancelled: boolean }

export type OpenAiSettings = StandInSettings & {
  model: ModelName
  /** How long a response takes, in ms. */
  answerMs: number
  /** The next responses turn out so, one by each. */
  answerFaults: (AnswerFault | null)[]
  mix: StandInSettings['mix'] & { answer: Mix<AnswerFault> }
}

export type OpenAiStandIn = {
  /** With `/v1`, as the base address is given. */
  readonly url: string
  readonly key: string
  readonly settings: OpenAiSettings
  /** The responses that were begun, by the cause that their metadata names. Each is paid. */
  startsByCause(): Record<string, number>
  /** All that was sent to be answered, in its order. */
  asked(): Request[]
  requests: string[]
  close(): Promise<void>
}

const key = 'sk-test'

/** As much of OpenAI's Responses API as is used, over HTTP. */
export async function startOpenAi(t?: Teardown, options: Partial<OpenAiSettings> & { port?: number } = {}): Promise<OpenAiStandIn> {
  const { port, ...given } = options
  const settings: OpenAiSettings = {
    model: 'sensible',
    answerMs: 30,
    faults: [],
    answerFaults: [],
    mix: { start: {}, read: {}, answer: {} },
    seed: 1,
    ...given,
  }
  const responses = new Map<string, Response>()
  const error = (status: number, message: string): Said => ({
    status,
    body: {
      error: {
        message,
        type: status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error',
        param: null,
        code: null,
      },
    },
  })
  const isStart = ({ method, path }: Asked) => method === 'POST' && path === '/v1/responses'

  const answer = async (asked: Asked, random: Random): Promise<Said> => {
    const { method, path } = asked
    if (asked.key !== key) return error(401, 'Incorrect API key provided.')
    if (isStart(asked)) {
      const request = asked.body as Request
      const wrong = faultOf(request)
      if (wrong) return error(400, wrong)
      const id = `resp_${randomBytes(24).toString('hex')}`
      const now = Date.now()
      const fault = nextFault(settings.answerFaults, settings.mix.answer, random)
      const response: Response = {
        id,
        request,
        createdAt: now,
        endsAt: fault === 'never-ends' ? Number.POSITIVE_INFINITY : now + settings.answerMs * (0.5 + random.next()),
        fault,
        cancelled: false,
      }
      responses.set(id, response)
      return { status: 200, body: responseObject(response, settings) }
    }
    const [, , , id, what] = path.split('/')
    const response = responses.get(id!)
    if (!response || response.fault === 'lost') return error(404, `Response with id '${id}' not found.`)
    if (method === 'POST' && what === 'cancel') {
      if (Date.now() < response.endsAt) response.cancelled = true
      return { status: 200, body: responseObject(response, settings) }
    }
    if (method === 'GET' && what === undefined) return { status: 200, body: responseObject(response, settings) }
    return error(404, `Invalid URL (${method} ${path})`)
  }

  const vendor = await startStandIn(t, {
    port,
    settings,
    isStart,
    answer,
    error,
    causes: () => responses.values().map(({ request }) => request.metadata?.['smartcrm_cause']),
  })
  return {
    ...vendor,
    url: `${vendor.url}/v1`,
    key,
    settings,
    asked: () => [...responses.values()].map(({ request }) => request),
  }
}

/** What the API itself refuses of a strict schema: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas */
function faultOf({ model, input, text }: Request): string | null {
  if (!model || !input) return "Missing required parameter: 'model' or 'input'."
  const { format } = (text ?? {}) as { format?: { type: string; name?: string; strict?: boolean; schema?: unknown } }
  if (format?.type !== 'json_schema' || !format.name || !format.strict) return null
  return schemaFault(format.schema, 'schema')
}

function schemaFault(schema: unknown, at: string): string | null {
  const { type, properties, required, additionalProperties, items, anyOf } = schema as Record<string, unknown>
  const known = [
    'type',
    'properties',
    'required',
    'additionalProperties',
    'items',
    'anyOf',
    'enum',
    'description',
    'const',
    'minimum',
    'maximum',
  ]
  const unknown = Object.keys(schema as object).find((name) => !known.includes(name))
  if (unknown) return `Invalid schema for response_format: In ${at}, '${unknown}' is not permitted.`
  for (const [index, one] of ((anyOf ?? []) as unknown[]).entries()) {
    const fault = schemaFault(one, `${at}.anyOf[${index}]`)
    if (fault) return fault
  }
  if (type === 'array') return schemaFault(items, `${at}.items`)
  if (type !== 'object') return null
  if (additionalProperties !== false)
    return `Invalid schema for response_format: In ${at}, 'additionalProperties' is required to be supplied and to be false.`
  const names = Object.keys(properties as object)
  if (names.some((name) => !(required as string[] | undefined)?.includes(name)))
    return `Invalid schema for response_format: In ${at}, 'required' is required to be supplied and to be an array including every key in properties.`
  for (const [name, one] of Object.entries(properties as object)) {
    const fault = schemaFault(one, `${at}.${name}`)
    if (fault) return fault
  }
  return null
}

/** A response as https://platform.openai.com/docs/api-reference/responses/object shows it. */
function responseObject(response: Response, { model }: OpenAiSettings) {
  const { id, request, createdAt, endsAt, fault, cancelled } = response
  const isOver = !cancelled && Date.now() >= endsAt
  const status = cancelled
    ? 'cancelled'
    : !isOver
      ? 'in_progress'
      : fault === 'failed'
        ? 'failed'
        : fault === 'incomplete'
          ? 'incomplete'
          : 'completed'
  const text = isOver && fault !== 'failed' ? answerOf(request, fault, model) : ''
  const content =
    fault === 'refusal'
      ? { type: 'refusal', refusal: "I'm sorry, I can't help with that." }
      : { type: 'output_text', text, annotations: [], logprobs: [] }
  const inputTokens = Math.ceil(JSON.stringify(request.input).length / 4) + 200
  const outputTokens = Math.ceil(text.length / 4) + 20
  return {
    id,
    object: 'response',
    created_at: Math.floor(createdAt / 1000),
    status,
    background: request.background ?? false,
    completed_at: status === 'completed' ? Math.floor(endsAt / 1000) : null,
    error: status === 'failed' ? { code: 'server_error', message: 'The model failed to generate a response.' } : null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    metadata: request.metadata ?? {},
    model: `${request.model}-2025-08-07`,
    output:
      status === 'completed' || status === 'incomplete'
        ? [{ type: 'message', id: `msg_${id.slice(5)}`, status, role: 'assistant', content: [content] }]
        : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: request.store ?? true,
    temperature: 1,
    text: request.text ?? { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
    usage: isOver
      ? {
          input_tokens: inputTokens,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: outputTokens,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: inputTokens + outputTokens,
        }
      : null,
    user: null,
  }
}

function answerOf({ input }: Request, fault: AnswerFault | null, model: ModelName): string {
  if (fault === 'no-json') return 'Here is what I found about this person:'
  if (fault === 'other-schema') return JSON.stringify({ values: [{ field: 'shoeSize', value: 44 }], note: 'trust me' })
  const whole = input.flatMap(({ content }) => content.map(({ text }) => text)).join('\n')
  const material = JSON.parse(input.findLast(({ role }) => role === 'user')?.content[0]?.text ?? '{"sources":[]}') as Material
  const said = JSON.stringify(models[model](material, whole))
  return fault === 'incomplete' ? said.slice(0, said.length / 2) : said
}
