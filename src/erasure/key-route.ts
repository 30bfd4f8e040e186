import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { createSigner } from '../platform/erasure/receipt.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import type { Services } from '../services.ts'

const ErasureKey = Type.Object(
  {
    algorithm: Type.Literal('Ed25519'),
    publicKey: Type.String({ description: '32 bytes in base64.', examples: ['11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='] }),
  },
  { title: 'ErasureKey', examples: [{ algorithm: 'Ed25519', publicKey: '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=' }] },
)

/** The key that receipts are checked by. It was made once, with the vault. */
export function erasureKeyRoute(app: FastifyInstance, { vault }: Pick<Services, 'vault'>): void {
  const { publicKey } = createSigner(vault.secret('receipts'))
  app.get('/v1/erasures/key', {
    schema: {
      operationId: 'getErasureKey',
      summary: 'The public key that receipts of erasures are checked by',
      description: 'A signature is over the canonical JSON (RFC 8785) of `receipt`.',
      tags: ['erasures'],
      response: { 200: { description: 'The key.', content: { 'application/json': { schema: ErasureKey } } }, default: problemResponse },
    },
    handler: async () => ({ algorithm: 'Ed25519' as const, publicKey }),
  })
}
