import { createPublicKey, randomBytes, verify } from 'node:crypto'
import canonicalize from 'canonicalize'
import t from 'tap'
import { digestOf, faultOfReceipt } from '../../../src/erasure/verify-receipt.ts'
import { createSigner, isSigned } from '../../../src/platform/erasure/receipt.ts'

const secret = randomBytes(32)
const signer = createSigner(secret)
const document = { id: 'a', destroyed: { keys: 3 }, notes: ['é', 'b'] }

t.test('a signature holds for what was signed, in whatever order of fields, and for nothing else', async (t) => {
  const { signature, signedBy } = signer.sign(document)
  t.equal(signedBy, signer.publicKey)
  t.ok(isSigned({ notes: ['é', 'b'], destroyed: { keys: 3 }, id: 'a' }, signature, signedBy))
  t.notOk(isSigned({ ...document, id: 'b' }, signature, signedBy))
  t.notOk(isSigned({ ...document, notes: ['b', 'é'] }, signature, signedBy))
  t.notOk(isSigned(document, randomBytes(64).toString('base64'), signedBy))
  t.notOk(isSigned(document, signature, createSigner(randomBytes(32)).publicKey))
  t.throws(() => isSigned(document, signature, 'no key'), RangeError)
})

t.test('the key is the secret’s, and anybody’s library checks it', async (t) => {
  t.equal(createSigner(secret).publicKey, signer.publicKey)
  const { signature, signedBy } = signer.sign(document)
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(signedBy, 'base64').toString('base64url') },
    format: 'jwk',
  })
  t.ok(verify(null, Buffer.from(canonicalize(document)!), key, Buffer.from(signature, 'base64')))
})

t.test('a receipt is checked with its list of mails', async (t) => {
  const emailIds = ['1', '2']
  const receipt = { ...document, stays: { emails: 2, emailsSha256: digestOf(emailIds) } }
  const given = { receipt, emailIds, ...signer.sign(receipt) }
  const fault = (changed: object, key = signer.publicKey) => faultOfReceipt({ ...given, ...changed }, key)
  t.equal(fault({}), null)
  t.match(fault({ receipt: { ...receipt, id: 'b' } }), /changed after it was signed/)
  t.match(fault({ emailIds: ['1'] }), /list of mails/)
  t.match(fault({}, createSigner(randomBytes(32)).publicKey), /another key/)
  t.match(fault({ signature: null }), /no receipt/)
  t.match(faultOfReceipt(null, signer.publicKey), /no receipt/)
})
