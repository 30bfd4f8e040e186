import { randomUUID } from 'node:crypto'
import t from 'tap'
import { mailRemovals } from '../../projections/mail-removals.ts'
import { sql } from '../../src/platform/database.ts'
import { type Answer, testApi } from '../support/api.ts'
import { person } from '../support/keys.ts'
import { madeUpMail, OWN_ADDRESS } from '../support/made-up-mail.ts'
import { withAsOf } from '../support/past-answers.ts'

t.setTimeout(120_000)

t.test('a contact alone is told as of a moment without a snapshot, with the mail of the addresses that it had', async (t) => {
  const api = await testApi(t)
  const { ingest, store, pool } = api.services
  const take = async (index: number) => {
    const id = randomUUID()
    const cause = { actor: 'key:test', commandId: id, request: id, correlationId: id, causationId: id }
    const about = { source: 'import:test', ownAddresses: new Set([OWN_ADDRESS]), cause, isKept: false, again: true }
    return (await ingest(madeUpMail(index).raw, about)) as { emailId: string }
  }
  const ada = await api.ask('POST', '/v1/contacts', { name: 'Ada', methods: [{ type: 'email', value: madeUpMail(0).from }] })
  const grace = await api.ask('POST', '/v1/contacts', { name: 'Grace' })
  const [his, hers] = [`/v1/contacts/${ada.body.id}`, `/v1/contacts/${grace.body.id}`]
  const moments: { moment: string; path: string; answer: Answer }[] = []
  /** How both are now, to be asked again later; and how many mails each has received and sent. */
  const counts = async () => {
    const moment = await store.tail()
    const headers = { 'smartcrm-after': `${moment!.commit}.${moment!.prepare}`, prefer: 'wait=20' }
    const answers = []
    for (const path of [his, hers]) {
      const answer = await api.ask('GET', path, undefined, headers)
      moments.push({ moment: headers['smartcrm-after'], path, answer })
      answers.push(answer)
    }
    return answers.map(({ body }) => `${body.emailsReceived} received, ${body.emailsSent} sent`)
  }

  t.strictSame(await counts(), ['0 received, 0 sent', '0 received, 0 sent'])
  const { emailId } = await take(0)
  await take(1)
  t.strictSame(await counts(), ['1 received, 1 sent', '0 received, 0 sent'])
  await api.ask('DELETE', `/v1/emails/${emailId}`)
  t.strictSame(await counts(), ['0 received, 1 sent', '0 received, 0 sent'])
  await take(0)
  await take(2)
  t.strictSame(await counts(), ['2 received, 1 sent', '0 received, 0 sent'])
  await api.ask('POST', `${hers}/merge`, { from: ada.body.id })
  t.strictSame(await counts(), ['2 received, 1 sent', '2 received, 1 sent'], 'whoever follows the redirect finds the other')
  await api.ask('DELETE', `/v1/emails/${emailId}`)
  t.strictSame(await counts(), ['1 received, 1 sent', '1 received, 1 sent'])
  await api.ask('POST', `${hers}/unmerge`, { from: ada.body.id })
  await api.ask('DELETE', `${his}/methods/${ada.body.methods[0].id}`)
  t.strictSame(await counts(), ['0 received, 0 sent', '0 received, 0 sent'])

  for (const { moment, path, answer } of moments) t.strictSame((await api.ask('GET', withAsOf(path, moment))).body, answer.body, moment)
  const [{ moment: first }] = moments as [{ moment: string }, ...unknown[]]
  const restricted = await person(api, { sees: 'own', owner: 'bea' })
  await api.ask('POST', `${his}/assign`, { owner: 'bea' })
  t.equal((await restricted.ask('GET', withAsOf(his, first))).status, 200)

  // More was taken away since than can be looked through.
  await pool.rows(sql.unsafe`
    insert into ${mailRemovals.tables.mailRemovals.sql} (email_id, revision, commit_position, prepare_position)
    select gen_random_uuid(), 1, 1e9, n from generate_series(1, 20000) n`)
  t.match(await api.ask('GET', withAsOf(his, first)), {
    status: 409,
    body: { code: 'snapshot-missing', request: { body: { asOf: first } } },
  })
  t.match(await restricted.ask('GET', withAsOf(his, first)), { status: 403, body: { code: 'past-not-shown' } })
  t.equal((await api.ask('GET', withAsOf(hers, first))).status, 200, 'who had no address had no mail')
})
