import { resolve } from 'node:path'
import { enrichmentSettings } from './enrichment/settings.ts'
import { erasureSettings } from './erasure/settings.ts'
import { mailboxSettings } from './mailboxes/settings.ts'
import type { AwsKmsAddress } from './platform/kms-aws.ts'
import { httpUrl, matching, optional, setting, wholeNumber } from './setting.ts'

const port = (text: string) => {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new Error('has to be a port: a whole number from 0 to 65535')
}

/** The key itself, or the key of a KMS that wraps it. */
export type MasterKeySetting = Buffer | AwsKmsAddress

export const masterKey = (text: string): MasterKeySetting => {
  if (text.startsWith('awskms:')) return awsKmsAddress(text)
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64')
  if (key.length === 32 && /^[\w+/-]+=?$/.test(text)) return key
  throw new Error('has to be 32 bytes as base64 or hex, for example from: openssl rand -base64 32, or awskms:KEY?region=…')
}

/** An ARN names the region by itself: `arn:aws:kms:<region>:<account>:key/<id>`. */
const awsKmsAddress = (text: string): AwsKmsAddress => {
  const [, keyId, search] = /^awskms:([\w:/-]+)(?:\?(\S*))?$/.exec(text) ?? []
  const { region = keyId?.split(':')[3], endpoint, ...others } = Object.fromEntries(new URLSearchParams(search))
  if (!keyId || !region || !/^[a-z0-9-]+$/.test(region) || Object.keys(others).length > 0)
    throw new Error("has to be awskms:KEY?region=… (an id, an alias or an ARN), and &endpoint=https://… for a server that is not Amazon's")
  return endpoint === undefined ? { keyId, region } : { keyId, region, endpoint: namedEndpoint(endpoint) }
}

const namedEndpoint = (text: string) => {
  try {
    return httpUrl(text)
  } catch {
    throw new Error('has to name an endpoint that starts with http:// or https://')
  }
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const logLevel = (text: string): LogLevel => {
  const level = logLevels.find((level) => level === text)
  if (level) return level
  throw new Error(`has to be one of ${logLevels.join(', ')}`)
}

// The client knows KurrentDB under the old scheme only.
const eventStoreUrl = (text: string) => {
  if (/^(esdb|kurrentdb)(\+discover)?:\/\/[^\s/?]+/.test(text)) return text.replace(/^kurrentdb/, 'esdb')
  throw new Error('has to start with esdb://, esdb+discover://, kurrentdb:// or kurrentdb+discover:// and name a host')
}

/** Where a bucket is. @property prefix '' or one with a slash at its end */
export type BucketAddress = { bucket: string; prefix: string; region: string; endpoint?: string }

const bucketAddress = (text: string): BucketAddress => {
  const url = URL.parse(text)
  const path = url?.pathname.replace(/^\/+|\/+$/g, '') ?? ''
  const { region, endpoint, ...others } = Object.fromEntries(url?.searchParams ?? [])
  const isRight =
    /^s3:\/\/[a-z0-9][a-z0-9.-]+[a-z0-9]([/?]|$)/.test(text) && !url?.port && /^[\w./-]*$/.test(path) && Object.keys(others).length === 0
  if (!isRight || !region || !/^[a-z0-9-]+$/.test(region))
    throw new Error("has to be s3://bucket/prefix?region=…, and &endpoint=https://… for a server that is not Amazon's")
  const address = { bucket: url!.hostname, prefix: path && `${path}/`, region }
  return endpoint === undefined ? address : { ...address, endpoint: namedEndpoint(endpoint) }
}

const rateLimits = (text: string): Record<string, { requests: number; seconds: number } | null> =>
  Object.fromEntries(
    text.split(',').map((part) => {
      const [, role, requests, seconds] = /^\s*(\*|[a-z][a-z0-9-]*)=(?:none|([1-9]\d{0,6})\/([1-9]\d{0,4}))\s*$/.exec(part) ?? []
      if (!role) throw new Error('has to be like *=6000/60,reader=600/60,service=none')
      return [role, requests && seconds ? { requests: Number(requests), seconds: Number(seconds) } : null]
    }),
  )

/** All settings there are, in the order in which the README shows them. */
export const settings = {
  port: setting({ name: 'PORT', default: '3000', description: 'Port of the HTTP API; 0 takes any free one', parse: port }),
  host: setting({
    name: 'HOST',
    default: '127.0.0.1',
    description: 'Address that the HTTP API listens on; 0.0.0.0 lets other machines in',
    parse: matching(/^[\w.:%-]+$/, 'an IP address or a host name'),
  }),
  dataFolder: setting({
    name: 'SMARTCRM_DATA',
    default: './data',
    description: 'Folder of the embedded servers and of what is kept beside the log',
    parse: (text) => resolve(text),
  }),
  adminKey: optional({
    name: 'SMARTCRM_ADMIN_KEY',
    description: 'API key to accept as administrator, instead of one made at the first start; at least 16 characters',
    parse: matching(/^[\x21-\x7e]{16,}$/, 'at least 16 characters, without spaces or letters beyond ASCII'),
  }),
  masterKey: optional({
    name: 'SMARTCRM_MASTER_KEY',
    description:
      'Key that wraps the keys of all personal data: 32 bytes as base64 or hex; or awskms:KEY?region=…, an AWS KMS key that wraps it (and &endpoint=https://… if it is not at Amazon). Unset: made once and kept in a file in the data folder',
    parse: masterKey,
  }),
  newMasterKey: optional({
    name: 'SMARTCRM_NEW_MASTER_KEY',
    description: 'For `smartcrm vault rotate`: what SMARTCRM_MASTER_KEY will be, when it is not kept in the data folder',
    parse: masterKey,
  }),
  eventStoreUrl: optional({
    name: 'EVENTSTORE_URL',
    description: 'EventStoreDB or KurrentDB to use (esdb://…, esdb+discover://…). Unset: the embedded event store',
    parse: eventStoreUrl,
  }),
  databaseUrl: optional({
    name: 'DATABASE_URL',
    description: 'Postgres to use (postgres://…). Unset: the embedded Postgres',
    parse: matching(/^postgres(ql)?:\/\/\S+\/\S+$/, 'postgres://user:password@host:port/database'),
  }),
  blobs: optional({
    name: 'BLOBS_URL',
    description:
      'Where mails and attachments are kept: a bucket, s3://bucket/prefix?region=… (and &endpoint=https://… if it is not at Amazon). Unset: a folder in the data folder',
    parse: bucketAddress,
  }),
  s3AccessKeyId: optional({
    name: 'AWS_ACCESS_KEY_ID',
    description: 'Who we are at the bucket of BLOBS_URL and at AWS KMS',
    parse: matching(/^[\x21-\x7e]+$/, 'the id of an access key, without spaces'),
  }),
  s3SecretAccessKey: optional({
    name: 'AWS_SECRET_ACCESS_KEY',
    description: 'The secret that belongs to AWS_ACCESS_KEY_ID',
    parse: matching(/^[\x21-\x7e]+$/, 'a key, without spaces'),
  }),
  eventStorePort: optional({ name: 'EVENTSTORE_PORT', description: 'Port of the embedded event store. Unset: any free one', parse: port }),
  postgresPort: optional({ name: 'POSTGRES_PORT', description: 'Port of the embedded Postgres. Unset: any free one', parse: port }),
  logLevel: setting({ name: 'LOG_LEVEL', default: 'info', description: `How much is logged: ${logLevels.join(', ')}`, parse: logLevel }),
  tracesUrl: optional({
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    description:
      'Collector that traces are sent to, as JSON over HTTP, for example http://localhost:4318; how, the other OTEL_EXPORTER_OTLP_* variables say. Unset: there are none',
    parse: httpUrl,
  }),
  tracesSampler: optional({
    name: 'OTEL_TRACES_SAMPLER',
    description:
      'Which traces are kept: always_on, always_off, traceidratio, or these with parentbased_ before. Unset: parentbased_always_on',
    parse: matching(/^(parentbased_)?(always_on|always_off|traceidratio)$/, 'a sampler, like parentbased_traceidratio'),
  }),
  tracesRatio: optional({
    name: 'OTEL_TRACES_SAMPLER_ARG',
    description: 'The share of traces that traceidratio keeps, from 0 to 1',
    parse: (text) => Number(matching(/^(0|1|0?\.\d+|1\.0+)$/, 'a number from 0 to 1')(text)),
  }),
  tracesDisabled: optional({
    name: 'OTEL_SDK_DISABLED',
    description: 'true: no traces, whatever else is set',
    parse: (text) => text.toLowerCase() === 'true',
  }),
  serviceUrl: optional({
    name: 'SMARTCRM_URL',
    description: 'Where the command line finds the service. Unset: this machine and PORT',
    parse: httpUrl,
  }),
  apiKey: optional({
    name: 'SMARTCRM_KEY',
    description: 'API key that the command line uses',
    parse: matching(/^[\x21-\x7e]+$/, 'an API key, without spaces'),
  }),
  rateLimits: setting({
    name: 'SMARTCRM_RATE_LIMITS',
    default: '*=6000/60',
    description:
      'How often each key may ask, by its role: ROLE=REQUESTS/SECONDS or ROLE=none, parted by commas; * is any other role, admin-key the key of SMARTCRM_ADMIN_KEY, which has no limit unless it is named. A key may have a limit of its own instead',
    parse: rateLimits,
  }),
  atOnce: setting({
    name: 'SMARTCRM_REQUESTS_AT_ONCE',
    default: '256',
    description:
      'How many questions, and how many commands, an API process works on at once at most; when answers take long it takes fewer. The others are answered 503 at once',
    parse: (text) => Number(matching(/^[1-9]\d{0,4}$/, 'a number from 1 to 99999')(text)),
  }),
  origins: optional({
    name: 'CORS_ORIGINS',
    description: 'Origins of web pages that may ask the API from a browser, parted by commas, like https://crm.example.com. Unset: none',
    parse: (text) =>
      text
        .split(',')
        .map((origin) => matching(/^https?:\/\/[\w.-]+(:\d+)?$/, 'origins like https://crm.example.com, without a path')(origin.trim())),
  }),
  tlsCertFile: optional({
    name: 'TLS_CERT_FILE',
    description: 'File with the certificate, and those it is signed by (PEM): the API is served over TLS then. Unset: over plain HTTP',
    parse: (text) => resolve(text),
  }),
  tlsKeyFile: optional({
    name: 'TLS_KEY_FILE',
    description: 'File with the private key of TLS_CERT_FILE (PEM)',
    parse: (text) => resolve(text),
  }),
  ...enrichmentSettings,
  ...mailboxSettings,
  ...erasureSettings,
  demo: optional({
    name: 'SMARTCRM_DEMO',
    description: '1: a demo with a made-up mailbox, in the folder ./data/demo unless SMARTCRM_DATA is set; as `smartcrm start --demo`',
    parse: (text) => matching(/^(0|1|true|false)$/, '1 or 0')(text) === '1' || text === 'true',
  }),
  demoMails: setting({
    name: 'SMARTCRM_DEMO_MAILS',
    default: '2000',
    description: "How many mails a new demo's mailbox holds",
    parse: wholeNumber(100, 100_000),
  }),
  snapshots: setting({
    name: 'SMARTCRM_SNAPSHOTS',
    default: '10',
    description:
      'How many past moments can be asked about at once (`POST /v1/snapshots`): those that were not used for longest are dropped',
    parse: wholeNumber(1, 1_000),
  }),
  snapshotsMebibytes: setting({
    name: 'SMARTCRM_SNAPSHOTS_MIB',
    default: '20480',
    description: 'How much room the tables of past moments may take in Postgres, in MiB',
    parse: wholeNumber(1, 999_999_999),
  }),
  cacheMebibytes: setting({
    name: 'SMARTCRM_CACHE_MIB',
    default: '32',
    description: 'How much of its answers an API process keeps in memory while the tables stand still, in MiB; 0: nothing',
    parse: wholeNumber(0, 1_000_000),
  }),
}
