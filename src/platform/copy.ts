import pg from 'pg'

/** What of a connection a `copy … from stdin` needs. */
type CopyConnection = { query(text: string): void; sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }

/**
 * Runs a `copy … from stdin` and gives it its lines, without waiting for Postgres to ask for them: it ignores those of a statement that it refuses
 * (PostgreSQL manual, §54.2.6), so what is asked next may follow at once.
 * @throws pg's DatabaseError when Postgres refuses one of them
 */
export const copy = (client: pg.ClientBase, text: string, lines: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const query = new pg.Query(text, (error) => (error ? reject(error) : resolve()))
    client.query(
      Object.assign(query, {
        submit(connection: CopyConnection) {
          connection.query(text)
          connection.sendCopyFromChunk(Buffer.from(lines))
          connection.endCopyFrom()
          return null
        },
        handleCopyInResponse() {},
      }),
    )
  })
