import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

type Teardown = { teardown(clear: () => unknown): void }
type Direction = 'asks' | 'answers'
type Pair = { client: Socket; server: Socket; held: Record<Direction, Buffer[]>; stuck: Record<Direction, boolean> }

/** A TCP proxy that can treat its connections badly. */
export type MisbehavingProxy = {
  readonly port: number
  /** For the official client. */
  readonly url: string
  /** How many connections have been made through it so far. */
  readonly made: () => number
  /** The same with those that were refused. */
  readonly tried: () => number
  readonly open: () => number
  /** Holds back what comes in these directions on the connections that there are now: both ends believe that the other is only slow. */
  freeze(...directions: Direction[]): void
  /** The same for every connection to come. */
  freezeNew(on: boolean): void
  /** Lets go what is held back, and all that follows. */
  thaw(): void
  /** Resets every connection; what is held back is lost. */
  cut(): void
  /** Whether new connections are refused. */
  refuse(on: boolean): void
  /** From now on bytes take this long each way. */
  delay(ms: number): void
}

/** Stands between a client and what listens on a port of this machine. `port` may change (a server that comes back elsewhere). */
export async function misbehavingProxy(t: Teardown, target: { port: number }): Promise<MisbehavingProxy> {
  const pairs = new Set<Pair>()
  let made = 0
  let tried = 0
  let delayMs = 0
  let freezesNew = false
  let refuses = false

  const server = createServer({ noDelay: true }, (client) => {
    client.on('error', () => {})
    tried += 1
    if (refuses) return client.resetAndDestroy()
    made += 1
    const onward = connect({ port: target.port, host: '127.0.0.1', noDelay: true })
    const pair: Pair = { client, server: onward, held: { asks: [], answers: [] }, stuck: { asks: freezesNew, answers: freezesNew } }
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      onward.destroy()
    }
    for (const socket of [client, onward]) socket.on('error', end).on('close', end)
    const carry = (direction: Direction, to: Socket) => (bytes: Buffer) => {
      const pass = () => (pair.stuck[direction] ? pair.held[direction].push(bytes) : to.destroyed || to.write(bytes))
      if (delayMs > 0) setTimeout(pass, delayMs)
      else pass()
    }
    client.on('data', carry('asks', onward))
    onward.on('data', carry('answers', client))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const cut = () => {
    for (const { client, server } of pairs) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
    pairs.clear()
  }
  t.teardown(() => {
    cut()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `esdb://127.0.0.1:${port}?tls=false`,
    made: () => made,
    tried: () => tried,
    open: () => pairs.size,
    freeze(...directions) {
      for (const { stuck } of pairs)
        for (const direction of directions.length > 0 ? directions : (['asks', 'answers'] as const)) stuck[direction] = true
    },
    freezeNew: (on) => {
      freezesNew = on
    },
    thaw() {
      freezesNew = false
      for (const { client, server, held, stuck } of pairs) {
        stuck.asks = stuck.answers = false
        for (const bytes of held.asks.splice(0)) server.write(bytes)
        for (const bytes of held.answers.splice(0)) client.write(bytes)
      }
    },
    cut,
    refuse: (on) => {
      refuses = on
    },
    delay: (ms) => {
      delayMs = ms
    },
  }
}
