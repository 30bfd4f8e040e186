import pg from 'pg'

/** What of a connection a `copy … from stdin` needs. */
type CopyConnection = { sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }

/**
 * Runs a `copy … from stdin` and gives it its lines. In one piece, of which Postgres ignores what comes after a row that it refuses; a stream would have to
 * be stopped. Nothing else may be asked over the connection until it is done: Postgres would take that for lines.
 * @throws pg's DatabaseError when Postgres refuses one of them
 */
export const copy = (client: pg.ClientBase, text: string, lines: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const query = new pg.Query(text, (error) => (error ? reject(error) : resolve()))
    client.query(
      Object.assign(query, {
        handleCopyInResponse(connection: CopyConnection) {
          connection.sendCopyFromChunk(Buffer.from(lines))
          connection.endCopyFrom()
        },
      }),
    )
  })
