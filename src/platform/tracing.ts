import {
  type Attributes,
  context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { Invalid, Refused } from './refusal.ts'

/*
 * Traces, by OpenTelemetry's interface: from a request over its events to the tables and jobs that follow from them. Off until tracing-sdk.ts, which alone
 * loads what makes and sends spans, gives a tracer; until then nothing is done but the work itself.
 * Spans go to others. Their names and attributes say what kind of thing was done, never to whom, and nothing of an error but its kind.
 */
let tracer: Tracer | null = null
export const traceBy = (given: Tracer | null): void => {
  tracer = given
}
export const isTracing = (): boolean => tracer !== null

/** Whatever is followed by something in another process: it has the W3C `traceparent` of the span that made it, if it was traced. */
export type Traced = { readonly traceparent?: string | undefined }

export type SpanOptions = {
  readonly kind?: 'server' | 'producer' | 'consumer'
  readonly attributes?: Attributes
  /** What it follows from, if not from what this process is at: its child, if that is one; linked to them, if they are several. */
  readonly follows?: readonly Traced[]
}

const kinds = { server: SpanKind.SERVER, producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER }
/** More links than this a span does not have by OpenTelemetry's own limit. */
const MAX_LINKS = 128

/** Begins a span, which its caller ends. @returns null while tracing is off */
export function startSpan(name: string, { kind, attributes = {}, follows }: SpanOptions = {}): Span | null {
  if (!tracer) return null
  const origins = follows ? originsOf(follows) : []
  const parent = follows ? (origins.length === 1 ? trace.setSpanContext(ROOT_CONTEXT, origins[0]!) : ROOT_CONTEXT) : context.active()
  const links = origins.length > 1 ? origins.map((context): Link => ({ context })) : []
  return tracer.startSpan(name, { ...(kind && { kind: kinds[kind] }), attributes, links }, parent)
}

/** Does the work within a span: what it logs, and the events and spans that it makes, belong to that. */
export async function withSpan<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
  const span = startSpan(name, options)
  if (!span) return work()
  try {
    return await within(span, work)
  } catch (error) {
    failed(span, error)
    throw error
  } finally {
    span.end()
  }
}

/** As `withSpan` for a batch of what others made; without a span where none of them was traced. */
export const withSpanOfBatch = <T>(name: string, batch: readonly Traced[], work: () => Promise<T>): Promise<T> =>
  tracer && batch.some(({ traceparent }) => traceparent !== undefined)
    ? withSpan(name, { kind: 'consumer', attributes: { 'messaging.batch.message_count': batch.length }, follows: batch }, work)
    : work()

/** Calls `work` so that the span is what it is at. */
export const within = <T>(span: Span | null, work: () => T): T =>
  span ? context.with(trace.setSpan(context.active(), span), work) : work()

/** Says of what kind an error was: a refusal is an answer like others, and no message passes, since those may name somebody. */
export function failed(span: Span, error: unknown): void {
  const isAnswer = error instanceof Refused || error instanceof Invalid
  span.setAttribute('error.type', error instanceof Refused ? error.code : error instanceof Error ? error.name : typeof error)
  if (!isAnswer) span.setStatus({ code: SpanStatusCode.ERROR })
}

/** Where this process is at, as W3C Trace Context writes it; undefined outside of a span, and in a trace that is not kept. */
export function traceparent(): string | undefined {
  const at = tracer ? trace.getSpanContext(context.active()) : undefined
  if (!at || !(at.traceFlags & TraceFlags.SAMPLED)) return undefined
  return `00-${at.traceId}-${at.spanId}-01`
}

/** For log lines: in which trace and span they were written. A new object each time. */
export function traceIds(): object {
  const at = tracer ? trace.getSpanContext(context.active()) : undefined
  return at ? { trace_id: at.traceId, span_id: at.spanId } : {}
}

/** The spans that these were made in, each once. What is no traceparent, or of a later version than ours, is passed over. */
function originsOf(batch: readonly Traced[]): SpanContext[] {
  const texts = new Set(batch.flatMap(({ traceparent }) => traceparent ?? []))
  return [...texts].slice(0, MAX_LINKS).flatMap((text): SpanContext[] => {
    const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text) ?? []
    if (!traceId || !spanId || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return []
    return [{ traceId, spanId, traceFlags: Number.parseInt(flags!, 16) & TraceFlags.SAMPLED, isRemote: true }]
  })
}
