import { context, DiagLogLevel, diag } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Logger } from './log.ts'
import { traceBy } from './tracing.ts'

/** Those who wait for the last spans to be sent wait no longer than this. */
const CLOSE_MS = 500

export type TracingOptions = {
  /** The process, among others that send traces to the same place. */
  readonly service: string
  readonly version: string
  /** `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. @default all that their parents keep, and all that have none */
  readonly sampler?: string | undefined
  readonly ratio?: number | undefined
  readonly log: Logger
}

/**
 * Makes spans and sends them to a collector, as JSON over HTTP. Where that is, and how it is reached, the exporter reads from `OTEL_EXPORTER_OTLP_*`
 * in the environment; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` have precedence over what is said here.
 * No library is instrumented: the spans are our own.
 */
export function startTracing({ service, version, sampler, ratio = 1, log }: TracingOptions): { close(): Promise<void> } {
  // A collector that is away is nobody's fault here, and said once in a while by the exporter. It logs its answer's body as an object: that is left out.
  const say = (text: string) => log.warn({ reason: text }, 'traces could not be sent')
  diag.setLogger({ error: say, warn: () => {}, info: () => {}, debug: () => {}, verbose: () => {} }, DiagLogLevel.ERROR)
  const resource = defaultResource()
    .merge(resourceFromAttributes({ 'service.name': service, 'service.version': version }))
    .merge(detectResources({ detectors: [envDetector] }))
  const processor = new BatchSpanProcessor({ exporter: new OTLPTraceExporter(), scheduledDelayMillis: 1_000 })
  const provider = new TracerProvider({ resource, sampler: samplerOf(sampler, ratio), spanProcessors: [processor] })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  traceBy(provider.getTracer('smartcrm', version))
  return {
    async close() {
      const sent = provider.shutdown().catch(() => {})
      await Promise.race([sent, new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())])
    },
  }
}

function samplerOf(name = 'parentbased_always_on', ratio: number): Sampler {
  const root = name.endsWith('always_off')
    ? new AlwaysOffSampler()
    : name.endsWith('ratio')
      ? new TraceIdRatioBasedSampler(ratio)
      : new AlwaysOnSampler()
  return name.startsWith('parentbased') ? new ParentBasedSampler({ root }) : root
}
