import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { ConfigError, environment, readConfig } from '../src/config.ts'
import { settings } from '../src/settings.ts'

const root = resolve(import.meta.dirname, '..')

const enrichment = {
  apifyUrl: 'https://api.apify.com',
  apifyActor: 'apify/website-content-crawler',
  apifyInput: '{"startUrls":"{{startUrls}}","maxCrawlPages":3,"maxCrawlDepth":1,"crawlerType":"cheerio"}',
  apifyRunBudget: 0.05,
  apifyRunSeconds: 300,
  apifyConcurrency: 4,
  apifyPerMinute: 60,
  openaiUrl: 'https://api.openai.com/v1',
  openaiModel: 'gpt-5-mini',
  openaiInputPrice: 0.25,
  openaiOutputPrice: 2,
  openaiMaxOutputTokens: 4000,
  openaiAnswerSeconds: 300,
  openaiConcurrency: 8,
  openaiPerMinute: 120,
  enrichmentDailyBudget: 5,
  enrichmentMonthlyBudget: 50,
  enrichmentDailyCalls: 1000,
  enrichmentMonthlyCalls: 10000,
  enrichmentCacheDays: 30,
  enrichmentPatienceSeconds: 3600,
  enrichmentLookSeconds: 60,
  enrichmentRequestSeconds: 30,
  enrichmentPauseSeconds: 30,
}

t.test('without any setting it is a service for this machine, with its data beside it', async (t) => {
  t.strictSame(readConfig({}), {
    port: 3000,
    host: '127.0.0.1',
    dataFolder: resolve('data'),
    logLevel: 'info',
    serviceUrl: 'http://127.0.0.1:3000',
    publicUrl: 'http://127.0.0.1:3000',
    gmailQuotaUnits: 6000,
    gmailQuotaSeconds: 60,
    mailboxSyncSeconds: 60,
    rateLimits: { '*': { requests: 6000, seconds: 60 } },
    atOnce: 256,
    ...enrichment,
    demoMails: 2000,
    snapshots: 10,
    snapshotsMebibytes: 20_480,
    cacheMebibytes: 32,
  })
})

t.test('every setting is read', async (t) => {
  const config = readConfig({
    PORT: '8080',
    HOST: '0.0.0.0',
    SMARTCRM_DATA: '/var/lib/smartcrm',
    SMARTCRM_ADMIN_KEY: 'sixteen-characters',
    SMARTCRM_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
    SMARTCRM_NEW_MASTER_KEY: Buffer.alloc(32, 8).toString('hex'),
    EVENTSTORE_URL: 'esdb+discover://user:pass@a:2113,b:2113?tls=false',
    DATABASE_URL: 'postgres://user:pass@db:5432/crm?sslmode=require',
    BLOBS_URL: 's3://crm-mails/eu/blobs?region=eu-central-1&endpoint=https%3A%2F%2Fs3.example.com%3A9000%2F',
    AWS_ACCESS_KEY_ID: 'id',
    AWS_SECRET_ACCESS_KEY: 'secret+/',
    EVENTSTORE_PORT: '2113',
    POSTGRES_PORT: '5432',
    LOG_LEVEL: 'silent',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
    OTEL_SDK_DISABLED: 'true',
    SMARTCRM_URL: 'https://crm.example.com/',
    SMARTCRM_KEY: 'key',
    SMARTCRM_RATE_LIMITS: '*=600/60, reader=none,admin-key=10000/1',
    SMARTCRM_REQUESTS_AT_ONCE: '100',
    CORS_ORIGINS: 'https://crm.example.com, http://localhost:5173',
    TLS_CERT_FILE: '/etc/tls/cert.pem',
    TLS_KEY_FILE: '/etc/tls/key.pem',
    APIFY_TOKEN: 'token',
    APIFY_ACTOR: 'acme~reader',
    APIFY_INPUT: '{"urls":"{{urls}}"}',
    OPENAI_API_KEY: 'sk-key',
    OPENAI_URL: 'https://models.example.com/v1/',
    ENRICHMENT_DAILY_BUDGET: '0',
    SMARTCRM_PUBLIC_URL: 'https://public.example.com/',
    GOOGLE_CLIENT_ID: 'client',
    GOOGLE_CLIENT_SECRET: 'secret',
    GOOGLE_URL: 'http://localhost:4100/',
    GMAIL_PRICES: 'messages.get=5',
    GMAIL_PUSH_TOPIC: 'projects/crm/topics/gmail',
    GMAIL_PUSH_ACCOUNT: 'push@crm.iam.gserviceaccount.com',
    GMAIL_PUSH_AUDIENCE: 'https://public.example.com/v1/hooks/gmail',
    GMAIL_QUOTA_UNITS: '15000',
    GMAIL_QUOTA_SECONDS: '30',
    MAILBOX_SYNC_SECONDS: '5',
    SMARTCRM_DEMO: '1',
    SMARTCRM_DEMO_MAILS: '300',
    SMARTCRM_SNAPSHOTS: '3',
    SMARTCRM_SNAPSHOTS_MIB: '1000',
    SMARTCRM_CACHE_MIB: '0',
  })
  t.strictSame(config, {
    port: 8080,
    host: '0.0.0.0',
    dataFolder: '/var/lib/smartcrm',
    adminKey: 'sixteen-characters',
    masterKey: Buffer.alloc(32, 7),
    newMasterKey: Buffer.alloc(32, 8),
    eventStoreUrl: 'esdb+discover://user:pass@a:2113,b:2113?tls=false',
    databaseUrl: 'postgres://user:pass@db:5432/crm?sslmode=require',
    blobs: { bucket: 'crm-mails', prefix: 'eu/blobs/', region: 'eu-central-1', endpoint: 'https://s3.example.com:9000' },
    s3AccessKeyId: 'id',
    s3SecretAccessKey: 'secret+/',
    eventStorePort: 2113,
    postgresPort: 5432,
    logLevel: 'silent',
    tracesUrl: 'http://collector:4318',
    tracesSampler: 'parentbased_traceidratio',
    tracesRatio: 0.25,
    tracesDisabled: true,
    serviceUrl: 'https://crm.example.com',
    apiKey: 'key',
    rateLimits: { '*': { requests: 600, seconds: 60 }, reader: null, 'admin-key': { requests: 10_000, seconds: 1 } },
    atOnce: 100,
    origins: ['https://crm.example.com', 'http://localhost:5173'],
    tlsCertFile: '/etc/tls/cert.pem',
    tlsKeyFile: '/etc/tls/key.pem',
    ...enrichment,
    apifyToken: 'token',
    apifyActor: 'acme~reader',
    apifyInput: '{"urls":"{{urls}}"}',
    openaiKey: 'sk-key',
    openaiUrl: 'https://models.example.com/v1',
    enrichmentDailyBudget: 0,
    publicUrl: 'https://public.example.com',
    googleClientId: 'client',
    googleClientSecret: 'secret',
    googleUrl: 'http://localhost:4100',
    gmailPrices: { 'messages.get': 5 },
    gmailPushTopic: 'projects/crm/topics/gmail',
    gmailPushAccount: 'push@crm.iam.gserviceaccount.com',
    gmailPushAudience: 'https://public.example.com/v1/hooks/gmail',
    gmailQuotaUnits: 15_000,
    gmailQuotaSeconds: 30,
    mailboxSyncSeconds: 5,
    demo: true,
    demoMails: 300,
    snapshots: 3,
    snapshotsMebibytes: 1000,
    cacheMebibytes: 0,
  })
  t.strictSame(Object.keys(config).sort(), Object.keys(settings).sort(), 'this test knows them all')
})

t.test('a demo has a folder of its own, unless another is named', async (t) => {
  t.match(readConfig({ SMARTCRM_DEMO: 'true' }), { demo: true, dataFolder: resolve('data/demo') })
  t.match(readConfig({ SMARTCRM_DEMO: '1', SMARTCRM_DATA: '/var/lib/demo' }), { demo: true, dataFolder: '/var/lib/demo' })
  t.match(readConfig({ SMARTCRM_DEMO: '0' }), { demo: false, dataFolder: resolve('data') })
})

t.test('nobody can change it afterwards', async (t) => {
  t.throws(() => Object.assign(readConfig({}), { port: 1 }), TypeError)
})

t.test('an empty text counts as unset', async (t) => {
  const empty = Object.fromEntries(Object.values(settings).map(({ name }) => [name, ' ']))
  t.strictSame(readConfig(empty), readConfig({}))
})

t.test('every fault is listed at once, and no value is repeated in it', async (t) => {
  const wrong = {
    PORT: '65536',
    HOST: 'two words',
    SMARTCRM_ADMIN_KEY: 'short-secret',
    SMARTCRM_MASTER_KEY: Buffer.alloc(31, 7).toString('hex'),
    EVENTSTORE_URL: 'http://secret@host',
    DATABASE_URL: 'mysql://secret@host/db',
    BLOBS_URL: 'https://secret@host/bucket',
    AWS_ACCESS_KEY_ID: 'an id',
    AWS_SECRET_ACCESS_KEY: 'a secret',
    EVENTSTORE_PORT: '-1',
    POSTGRES_PORT: 'x',
    LOG_LEVEL: 'loud',
    SMARTCRM_URL: 'crm.example.com',
    SMARTCRM_KEY: 'a secret',
    SMARTCRM_DEMO: 'a secret',
    SMARTCRM_DTAA: '/data',
    SMARTCRM_COLOUR_OF_THE_BIKE_SHED: 'green',
  }
  const faults = faultsOf(() => readConfig(wrong))
  t.strictSame(faults, [
    'SMARTCRM_DTAA is not a setting: did you mean SMARTCRM_DATA?',
    'SMARTCRM_COLOUR_OF_THE_BIKE_SHED is not a setting.',
    'PORT has to be a port: a whole number from 0 to 65535.',
    'HOST has to be an IP address or a host name.',
    'SMARTCRM_ADMIN_KEY has to be at least 16 characters, without spaces or letters beyond ASCII.',
    'SMARTCRM_MASTER_KEY has to be 32 bytes as base64 or hex, for example from: openssl rand -base64 32, or awskms:KEY?region=….',
    'EVENTSTORE_URL has to start with esdb://, esdb+discover://, kurrentdb:// or kurrentdb+discover:// and name a host.',
    'DATABASE_URL has to be postgres://user:password@host:port/database.',
    "BLOBS_URL has to be s3://bucket/prefix?region=…, and &endpoint=https://… for a server that is not Amazon's.",
    'AWS_ACCESS_KEY_ID has to be the id of an access key, without spaces.',
    'AWS_SECRET_ACCESS_KEY has to be a key, without spaces.',
    'EVENTSTORE_PORT has to be a port: a whole number from 0 to 65535.',
    'POSTGRES_PORT has to be a port: a whole number from 0 to 65535.',
    'LOG_LEVEL has to be one of trace, debug, info, warn, error, fatal, silent.',
    'SMARTCRM_URL has to be an address that starts with http:// or https://.',
    'SMARTCRM_KEY has to be an API key, without spaces.',
    'SMARTCRM_DEMO has to be 1 or 0.',
  ])
  t.notMatch(faults.join(), 'secret')
})

t.test('a master key is 32 bytes, as hex, base64 or base64url', async (t) => {
  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => 255 - i))
  for (const encoding of ['hex', 'base64', 'base64url'] as const) {
    t.strictSame(readConfig({ SMARTCRM_MASTER_KEY: key.toString(encoding) }).masterKey, key, encoding)
  }
  t.throws(() => readConfig({ SMARTCRM_MASTER_KEY: `${'%'.repeat(4)}${key.toString('base64')}` }), ConfigError, 'with what base64 skips')
})

t.test('or it is wrapped by a key of AWS KMS, named with its region', async (t) => {
  const key = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' }
  const masterKey = (text: string) => readConfig({ SMARTCRM_MASTER_KEY: text, ...key }).masterKey
  t.strictSame(masterKey('awskms:alias/crm?region=eu-west-1'), { keyId: 'alias/crm', region: 'eu-west-1' })
  const arn = 'arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
  t.strictSame(masterKey(`awskms:${arn}`), { keyId: arn, region: 'us-east-2' })
  const endpoint = 'http://127.0.0.1:4566'
  t.strictSame(masterKey(`awskms:alias/crm?region=a&endpoint=${endpoint}/`), { keyId: 'alias/crm', region: 'a', endpoint })
  for (const wrong of [
    'awskms:',
    'awskms:alias/crm',
    'awskms:alias/crm?region=a&zone=b',
    'awskms:alias/crm?region=a&endpoint=x',
    'awskms:a b?region=a',
  ])
    t.match(
      faultsOf(() => masterKey(wrong)),
      [/^SMARTCRM_MASTER_KEY has to /],
      wrong,
    )
  t.strictSame(
    faultsOf(() => readConfig({ SMARTCRM_NEW_MASTER_KEY: 'awskms:alias/crm?region=a' })),
    ['SMARTCRM_NEW_MASTER_KEY needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.'],
  )
})

t.test('a bucket is named whole, with its region, and needs a key', async (t) => {
  const key = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' }
  const blobs = (url: string) => readConfig({ BLOBS_URL: url, ...key }).blobs
  t.strictSame(blobs('s3://crm.example?region=us-east-1'), { bucket: 'crm.example', prefix: '', region: 'us-east-1' })
  t.strictSame(blobs('s3://crm/a//?region=us-east-1'), { bucket: 'crm', prefix: 'a/', region: 'us-east-1' })
  for (const wrong of [
    's3://crm',
    's3://CRM?region=a',
    's3://user:secret@crm?region=a',
    's3://crm?region=a&endpoint=x',
    's3://crm?region=a&zone=b',
  ]) {
    t.match(
      faultsOf(() => blobs(wrong)),
      [/^BLOBS_URL has to /],
      wrong,
    )
  }
  t.strictSame(
    faultsOf(() => readConfig({ BLOBS_URL: 's3://crm?region=a', AWS_ACCESS_KEY_ID: 'id' })),
    ['BLOBS_URL needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.'],
  )
})

t.test('KurrentDB goes by the scheme that the client knows', async (t) => {
  t.equal(readConfig({ EVENTSTORE_URL: 'kurrentdb+discover://db:2113' }).eventStoreUrl, 'esdb+discover://db:2113')
})

t.test('the file .env counts where the environment says nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-env-'))
  await writeFile(join(folder, '.env'), 'PORT=4000\nHOST=10.0.0.1 # the inner network\nDATABASE_URL="postgres://db/crm"\n')
  const before = process.cwd()
  t.teardown(() => {
    process.chdir(before)
    return rm(folder, { recursive: true })
  })
  t.intercept(process, 'env', { value: { HOST: '10.0.0.2', DATABASE_URL: '' } })
  process.chdir(folder)
  const { port, host, databaseUrl } = readConfig()
  t.strictSame({ port, host, databaseUrl }, { port: 4000, host: '10.0.0.2', databaseUrl: undefined })
  process.chdir(before)
  t.strictSame(Object.keys(environment()), ['HOST', 'DATABASE_URL'], 'and need not be there')
})

t.test('nothing else reads the environment', async (t) => {
  const readers: string[] = []
  for await (const file of glob('{src,schema,projections}/**/*.{ts,tsx,js}', { cwd: root })) {
    if (/process\.env\b|loadEnvFile/.test(await readFile(join(root, file), 'utf8'))) readers.push(file)
  }
  t.strictSame(readers, ['src/config.ts'])
})

t.test('.env.example shows every setting', async (t) => {
  const example = await readFile(join(root, '.env.example'), 'utf8')
  for (const { name, default: fallback, description } of Object.values(settings) as {
    name: string
    default?: string
    description: string
  }[]) {
    t.match(example, `# ${description}\n# ${name}=${fallback ?? ''}\n`)
  }
})

function faultsOf(run: () => unknown): string[] {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  return []
}
