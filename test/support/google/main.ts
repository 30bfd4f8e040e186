import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { madeUpMailbox } from './made-up-mailbox.ts'
import type { Person } from './made-up-people.ts'
import { messagesIn } from './mail-folder.ts'
import { startGoogle, testClient } from './server.ts'

/*
 * The simulated Google as a process of its own, with one account:
 *   node test/support/google/main.ts --port 4100 --speed 60 --auto
 * Its mailbox is made up, or, with --folder, of files of mail (then --address says whose it is). The controls are under /_control/.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    /** Before when the mails are, in milliseconds since 1970; unless given, now. */
    now: { type: 'string' },
    /** When Google's time begins; unless given, now. */
    'clock-start': { type: 'string' },
    speed: { type: 'string', default: '1' },
    auto: { type: 'boolean', default: false },
    secret: { type: 'string' },
    'client-id': { type: 'string', default: testClient.id },
    'client-secret': { type: 'string', default: testClient.secret },
    'quota-limit': { type: 'string', default: '6000' },
    /** Of methods, where they cost something else: messages.get=1,messages.list=1 */
    prices: { type: 'string', default: '' },
    'push-endpoint': { type: 'string' },
    'push-audience': { type: 'string' },
    seed: { type: 'string', default: '1' },
    messages: { type: 'string', default: '2000' },
    threads: { type: 'string', default: '400' },
    people: { type: 'string', default: '120' },
    folder: { type: 'string' },
    /** A file to write the made-up people to, as the stand-in of public pages reads it. */
    'people-file': { type: 'string' },
    address: { type: 'string', default: 'robin.fairweather@fairhaven.example' },
  },
})

const now = values.now === undefined ? Date.now() : Number(values.now)
const clockStart = values['clock-start']
const numbers = {
  seed: Number(values.seed),
  messages: Number(values.messages),
  threads: Number(values.threads),
  people: Number(values.people),
}
const accounts = () => {
  if (values.folder !== undefined) return [{ address: values.address, messages: messagesIn(values.folder, now) }]
  const { account, messages, people } = madeUpMailbox({ now, ...numbers })
  if (values['people-file'] !== undefined) writeFileSync(values['people-file'], JSON.stringify(people.map(onPage)))
  return [{ ...account, messages }]
}

const onPage = ({ name, address, title, company, phone, profile }: Person) => ({
  name,
  email: address,
  title,
  city: company.city,
  phone,
  company: company.name,
  profile,
})
const prices = Object.fromEntries(
  values.prices
    .split(',')
    .filter(Boolean)
    .map((price) => [price.split('=')[0], Number(price.split('=')[1])]),
)

const google = await startGoogle({
  port: Number(values.port),
  accounts: accounts(),
  clients: [{ id: values['client-id'], secret: values['client-secret'] }],
  auto: values.auto,
  clock: { speed: Number(values.speed), ...(clockStart !== undefined && { startAt: Number(clockStart) }) },
  quota: { limit: Number(values['quota-limit']), prices },
  ...(values.secret !== undefined && { secret: values.secret }),
  ...(values['push-endpoint'] !== undefined && {
    push: { endpoint: values['push-endpoint'], ...(values['push-audience'] !== undefined && { audience: values['push-audience'] }) },
  }),
})
console.log(`Google is simulated at ${google.url}`)

const end = () => google.close().then(() => process.exit(0))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end)
if (process.send) {
  // Who keeps us is told as the roles tell it, and is not outlived.
  process.send({ type: 'ready', url: google.url })
  process.on('disconnect', end)
}
