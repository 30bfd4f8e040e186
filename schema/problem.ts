import { type Static, Type } from '@sinclair/typebox'

/** What every error looks like: a problem document (RFC 9457, application/problem+json). */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'What went wrong, as a stable name.', examples: ['urn:smartcrm:problem:contact-not-found'] }),
    code: Type.String({ description: 'The last part of `type`.', examples: ['contact-not-found'] }),
    title: Type.String({ description: 'The HTTP status in words.', examples: ['Not Found'] }),
    status: Type.Integer({ examples: [404] }),
    detail: Type.String({ description: 'What went wrong and what to do, for people.', examples: ['There is no such contact.'] }),
    instance: Type.Optional(Type.String({ description: 'The request, as it is named in the logs.' })),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String({ description: 'A JSON Pointer (RFC 6901) to what is wrong.', examples: ['/methods/0/value'] }),
          message: Type.String({ examples: ['must be an e-mail address, like ada@example.com'] }),
        }),
        { description: 'Every fault that was found.' },
      ),
    ),
  },
  { $id: 'Problem', additionalProperties: true },
)
export type Problem = Static<typeof Problem>
