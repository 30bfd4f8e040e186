/** How every route says what it answers when it refuses or fails. */
export const problemResponse = {
  description: 'A problem document.',
  content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
}
