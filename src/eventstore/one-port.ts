import { type AddressInfo, createServer, type Socket } from 'node:net'

type Acceptor = { emit(event: 'connection', socket: Socket): boolean }

/** gRPC and plain HTTP on one port, as on the real server: HTTP/2 announces itself by its first bytes, "PRI". */
export function createOnePort(http2: Acceptor, http1: Acceptor) {
  const sockets = new Set<Socket>()
  // A peer that vanished without a word (a sleeping laptop) is noticed after a while, so that its subscriptions end.
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.once('readable', () => {
      const start: Buffer | null = socket.read()
      if (!start) return
      socket.unshift(start)
      const target = start.subarray(0, 3).toString('latin1') === 'PRI' ? http2 : http1
      target.emit('connection', socket)
    })
  })
  return {
    async listen(port: number, host: string): Promise<AddressInfo> {
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
      return server.address() as AddressInfo
    },
    /** Takes no new connections. */
    stop: () => void server.close(),
    /** Ends those that are left. */
    cut() {
      for (const socket of sockets) socket.destroy()
    },
  }
}
