import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { seal, unseal } from '../../src/platform/sealing.ts'
import { signatureFault } from './aws-signature.ts'

type Teardown = { teardown(clear: () => unknown): void }

export const kmsCredentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'a/secret+key' }

export type KmsSimulator = {
  readonly endpoint: string
  readonly region: string
  /** What it was asked, in order: `Encrypt`, `Decrypt`. */
  readonly requests: string[]
  /** The next requests fail, one by each: a status and a code, or a connection that ends without an answer. */
  readonly faults: (readonly [status: number, code: string] | 'hang up' | 'hang')[]
  /** Keys by their ids; each wraps what no other unwraps. */
  readonly keys: Map<string, Buffer>
}

type Input = { KeyId?: string; Plaintext?: string; CiphertextBlob?: string; EncryptionContext?: Record<string, string> }

/** As much of AWS KMS as is used, over HTTP: checks signatures, and answers as https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html says. */
export async function startKms(t: Teardown): Promise<KmsSimulator> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const kms: KmsSimulator = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'eu-test-1',
    requests: [],
    faults: [],
    keys: new Map([
      ['alias/smartcrm', randomBytes(32)],
      ['alias/other', randomBytes(32)],
    ]),
  }
  server.on('request', async (request, response) => {
    const body = await buffer(request)
    const answer = (status: number, document: object) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(document))
    const action = String(request.headers['x-amz-target']).replace(/^TrentService\./, '')
    kms.requests.push(action)
    const fault = kms.faults.shift()
    if (fault === 'hang') return
    if (fault === 'hang up') return void request.socket.destroy()
    const refused =
      fault ?? signatureFault(request, new URL(request.url!, kms.endpoint), body, { ...kmsCredentials, ...kms, service: 'kms' })
    if (refused) return void answer(refused[0], { __type: refused[1], message: '…' })
    const [status, document] = carryOut(kms, action, JSON.parse(body.toString()))
    answer(status, document)
  })
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return kms
}

function carryOut({ keys }: KmsSimulator, action: string, { KeyId = '', EncryptionContext, ...input }: Input): [number, object] {
  const key = keys.get(KeyId)
  const fail = (code: string): [number, object] => [400, { __type: code, message: '…' }]
  if (!key) return fail('com.amazonaws.kms#NotFoundException')
  const context = JSON.stringify(EncryptionContext)
  if (action === 'Encrypt') {
    const sealed = seal(key, Buffer.from(input.Plaintext!, 'base64'), context)
    return [200, { KeyId, CiphertextBlob: sealed.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }]
  }
  const sealed = Buffer.from(input.CiphertextBlob!, 'base64')
  const opens = (key: Buffer) => {
    try {
      return unseal(key, sealed, context)
    } catch {
      return null
    }
  }
  const plain = opens(key)
  if (plain) return [200, { KeyId, Plaintext: plain.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }]
  return fail([...keys.values()].some(opens) ? 'IncorrectKeyException' : 'InvalidCiphertextException')
}
