import OpenAI, { APIConnectionError, APIError } from 'openai'
import type { Response } from 'openai/resources/responses/responses'
import { askFailure, type Enricher, type Failure, retryAfterOf, startFailure } from './enricher.ts'
import { costOf, type Prices } from './openai-prices.ts'

export type OpenAiSettings = Prices & {
  /** With `/v1`. */
  readonly url: string
  readonly key: string
  readonly model: string
  readonly maxOutputTokens: number
  /** How long one answer may take; for tests. */
  readonly answerSeconds?: number
}

export type Asked = {
  readonly instructions: string
  readonly input: string
  /** A strict JSON schema: every property required, none added, no formats. */
  readonly schema: { readonly name: string; readonly schema: Record<string, unknown> }
}
/** @property text JSON, as the model wrote it: whoever asked checks it against the schema */
export type Answered = { readonly text: string; readonly inputTokens: number; readonly outputTokens: number; readonly model: string }

export const CAUSE_KEY = 'smartcrm_cause'

/**
 * OpenAI's Responses API, in background mode: the call that begins a response answers at once with its id, and the response is fetched by it, also by
 * another process than began it. OpenAI keeps a background response that is not stored for some ten minutes
 * (https://developers.openai.com/docs/guides/background). There is no list of responses and no idempotency key, so `find` cannot tell: a call whose
 * beginning was not answered counts as paid, and is never made again.
 */
export function createOpenAi(settings: OpenAiSettings): Enricher<Asked, Answered> {
  const { url, key, model, maxOutputTokens, answerSeconds = 30 } = settings
  // Its own retries would pay twice for a response whose id was lost.
  const client = new OpenAI({
    baseURL: url,
    apiKey: key,
    organization: null,
    project: null,
    webhookSecret: null,
    maxRetries: 0,
    timeout: answerSeconds * 1000,
    logLevel: 'off',
  })
  const asking = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw askFailure('OpenAI', failureOf(error), error)
    })

  return {
    vendor: 'openai',
    async start(cause, { instructions, input, schema }) {
      const begun = client.responses.create({
        model,
        instructions,
        input: [{ role: 'user', content: [{ type: 'input_text', text: input }] }],
        text: { format: { type: 'json_schema', name: schema.name, strict: true, schema: schema.schema } },
        max_output_tokens: maxOutputTokens,
        metadata: { [CAUSE_KEY]: cause },
        background: true,
        store: false,
      })
      const response = await begun.catch((error: unknown) => {
        throw startFailure('OpenAI', failureOf(error), error)
      })
      if (typeof response?.id !== 'string') throw startFailure('OpenAI', {}, new Error('The answer names no response.'))
      return response.id
    },
    find: () => Promise.resolve(undefined),
    async look(id) {
      let response: Response
      try {
        response = await client.responses.retrieve(id)
      } catch (error) {
        if (error instanceof APIError && error.status === 404)
          return { state: 'failed', code: 'answer-lost', message: 'OpenAI does not keep the answer any more.', costMicroUsd: null }
        throw askFailure('OpenAI', failureOf(error), error)
      }
      return lookedAt(response, settings)
    },
    async cancel(id) {
      await asking(client.responses.cancel(id))
    },
  }
}

function lookedAt(response: Response, settings: OpenAiSettings): Awaited<ReturnType<Enricher<Asked, Answered>['look']>> {
  const { status, usage, output, incomplete_details, model } = response
  if (status === 'queued' || status === 'in_progress') return { state: 'running' }
  const [inputTokens, outputTokens] = [usage?.input_tokens ?? 0, usage?.output_tokens ?? 0]
  const costMicroUsd = costOf(settings, inputTokens, outputTokens)
  const failed = (code: string, message: string) => ({ state: 'failed', code, message, costMicroUsd }) as const
  if (status === 'incomplete')
    return failed(
      'answer-incomplete',
      `The model did not come to an end (${incomplete_details?.reason === 'content_filter' ? 'content filter' : 'too long'}).`,
    )
  if (status !== 'completed') return failed('answer-failed', 'OpenAI could not make an answer.')
  const content = (output ?? []).flatMap((item) => (item.type === 'message' ? item.content : []))
  if (content.some(({ type }) => type === 'refusal')) return failed('answer-refused', 'The model refused to answer.')
  const text = content.map((part) => (part.type === 'output_text' ? part.text : '')).join('')
  return { state: 'done', result: { text, inputTokens, outputTokens, model: String(model) }, costMicroUsd }
}

function failureOf(error: unknown): Failure {
  if (error instanceof APIConnectionError) return { code: codeOf(error) }
  if (error instanceof APIError)
    return { status: error.status, retryAfterSeconds: retryAfterOf(error.headers?.get('retry-after'), new Date()) }
  return {}
}

/** The system's code of a failed connection, however deep in the chain of causes. */
function codeOf(error: unknown): string | undefined {
  for (let at = error as { code?: unknown; cause?: unknown } | undefined; at; at = at.cause as typeof at)
    if (typeof at.code === 'string' && /^E|^UND_/.test(at.code)) return at.code
  return undefined
}
