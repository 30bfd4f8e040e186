import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export type Reply = { readonly status: number; readonly head: string; readonly body: string }

/** One connection that is kept, with one request at a time. */
export type Connection = {
  /** @param headers lines that end in CRLF */
  get(path: string, headers?: string): Promise<Reply>
  post(path: string, body: string): Promise<Reply>
  close(): void
}

/**
 * A connection for those who ask much: it takes little of the processor time that it shares with what is measured, since it knows as much of HTTP as
 * our own answers have, and no more.
 * @throws Error (by each request too) when the connection is refused, cut, or answers without a length
 */
export async function openConnection(url: string, key: string): Promise<Connection> {
  const { hostname, port, host } = new URL(url)
  const socket: Socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.setNoDelay(true)
  let text = ''
  let got: (reply: Reply) => void = () => {}
  let failed: (error: Error) => void = () => {}
  let ended: Error | undefined
  const end = (error: Error) => {
    ended ??= error
    failed(ended)
  }
  // Every character of a latin1 text is a byte, so lengths can be counted.
  socket.setEncoding('latin1').on('data', (piece: string) => {
    text = text === '' ? piece : text + piece
    const end = text.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = text.slice(0, end)
    const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? []
    if (length === undefined) return failed(new Error(`an answer without a length: ${head}`))
    if (text.length < end + 4 + Number(length)) return
    const body = text.slice(end + 4, end + 4 + Number(length))
    text = ''
    got({ status: Number(head.slice(9, 12)), head, body })
  })
  socket.on('error', end).on('close', () => end(new Error('the connection was closed')))
  const start = `HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${key}\r\n`
  const send = (request: string) =>
    new Promise<Reply>((resolve, reject) => {
      if (ended) return reject(ended)
      got = resolve
      failed = reject
      socket.write(request)
    })
  return {
    get: (path, headers = '') => send(`GET ${path} ${start}${headers}\r\n`),
    post: (path, body) =>
      send(`POST ${path} ${start}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
    close: () => socket.destroy(),
  }
}
