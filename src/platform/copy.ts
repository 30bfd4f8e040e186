import type pg from 'pg'

/** What pg asks of whatever it is to have run, and what of a connection that needs. */
type CopyConnection = { query(text: string): void; sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }

/**
 * Runs a `copy … from stdin` and gives it its lines. In one piece, of which Postgres ignores what comes after a row that it refuses; a stream would have to
 * be stopped.
 * @throws pg's DatabaseError when Postgres refuses one of them
 */
export const copy = (client: pg.ClientBase, text: string, lines: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const query = {
      // pg puts another in its place, with its bound.
      callback: (error?: Error | null) => (error ? reject(error) : resolve()),
      submit: (connection: unknown) => (connection as CopyConnection).query(text),
      handleCopyInResponse(connection: CopyConnection) {
        connection.sendCopyFromChunk(Buffer.from(lines))
        connection.endCopyFrom()
      },
      handleCommandComplete() {},
      handleReadyForQuery: () => query.callback(),
      handleError: (error: Error) => query.callback(error),
    }
    client.query(query)
  })
