/** What every key management service is held to; each is added to the list below. AWS KMS answers from a simulator, over HTTP. */
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Kms } from '../../src/platform/kms.ts'
import { awsKms } from '../../src/platform/kms-aws.ts'
import { kmsCredentials, startKms } from '../support/kms.ts'

const patient = { tries: 4, timeoutMs: 250, firstRetryMs: 1 }

type Subject = {
  readonly kms: Kms
  /** Another key at the same service. */
  readonly other: Kms
  /** Of a key that there is not. */
  readonly none: Kms
  /** So many requests get no answer, or one that may be another next time. */
  fail(times: number): void
  /** The next request is refused for good. */
  refuse(): void
}

const services: Record<string, (t: Test) => Promise<Subject>> = {
  async 'AWS KMS'(t) {
    const { endpoint, region, faults } = await startKms(t)
    const open = (keyId: string) => awsKms({ keyId, region, endpoint }, kmsCredentials, patient)
    const passing = ['hang up', [500, 'KMSInternalException'], 'hang', [400, 'ThrottlingException'], [503, ''], [429, '']] as const
    return {
      kms: open('alias/smartcrm'),
      other: open('alias/other'),
      none: open('alias/none'),
      fail: (times) => faults.push(...Array.from({ length: times }, (_, index) => passing[index % passing.length]!)),
      refuse: () => faults.push([400, 'AccessDeniedException']),
    }
  },
}

for (const [name, open] of Object.entries(services)) {
  t.test(name, async (t) => {
    const { kms, other, none, fail, refuse } = await open(t)
    const key = randomBytes(32)
    const wrapped = await kms.wrap(key)

    t.notOk(wrapped.includes(key), 'what is wrapped does not show the key')
    t.same(await kms.unwrap(wrapped), key, 'and is unwrapped to it')
    t.equal(await other.unwrap(wrapped), null, 'by no other key')
    for (const at of [0, 20, wrapped.length - 1]) {
      const changed = Buffer.from(wrapped)
      changed[at]! ^= 1
      t.equal(await kms.unwrap(changed), null, 'nor when it was changed')
    }
    t.equal(await kms.unwrap(Buffer.from('nonsense')), null)

    fail(3)
    t.same(await kms.unwrap(wrapped), key, 'what may pass is tried again')
    fail(3)
    t.ok(await kms.wrap(key))
    fail(4)
    await t.rejects(kms.unwrap(wrapped), { name: 'Unavailable', message: /^the AWS KMS key alias\/smartcrm/ }, 'and not for ever')
    refuse()
    await t.rejects(kms.unwrap(wrapped), { name: 'Fault', message: /refuses to unwrap/ }, 'what is refused is for a person to mend')
    refuse()
    await t.rejects(kms.wrap(key), { name: 'Fault', message: /refuses to wrap/ })
    await t.rejects(none.unwrap(wrapped), { name: 'Fault' })
    t.same(await kms.unwrap(wrapped), key)
  })
}

t.test('AWS KMS refuses who signs with another secret', async (t) => {
  const { endpoint, region } = await startKms(t)
  const stranger = awsKms({ keyId: 'alias/smartcrm', region, endpoint }, { ...kmsCredentials, secretAccessKey: 'wrong' }, patient)
  await t.rejects(stranger.wrap(randomBytes(32)), { name: 'Fault', message: /SignatureDoesNotMatch/ })
})
