import { setTimeout as delay } from 'node:timers/promises'
import type { Cluster, Node } from './cluster.ts'
import type { Random } from './random.ts'

/**
 * What may happen to a process: `kill -9`; an end in good order; connections that are reset, and for a while refused; a freeze; a network that swallows
 * what is sent over it.
 */
export type Blow = 'kill' | 'stop' | 'cut' | 'freeze' | 'swallow'

export type Mix = {
  readonly weights: Readonly<Partial<Record<Blow, number>>>
  /** How long a freeze, or a network that swallows everything, lasts; from and to. */
  readonly lastsMs: readonly [number, number]
  /** Between two blows. */
  readonly pauseMs: readonly [number, number]
}

export type Chaos = {
  /** Strikes so many times. @param say told of each blow */
  rounds(count: number): Promise<void>
  /** Strikes for so long. */
  during(ms: number): Promise<void>
  /** Everything that was done to processes and connections is over; what was killed is being started again. */
  calm(): void
  /** How many blows of each kind there were, by process. */
  blows(): Readonly<Record<string, number>>
}

export function createChaos(cluster: Cluster, random: Random, mix: Mix, say: (line: string) => void): Chaos {
  const calming = new AbortController()
  const blows: Record<string, number> = {}
  const later = (ms: number, work: () => void) => void delay(ms, undefined, { signal: calming.signal }).then(work, () => {})

  const strike = async () => {
    // Each process as often as any other, but of the projectors mostly the one that leads.
    const drawn = random.pick(cluster.nodes)
    const leads = random.chance(0.5)
    const node = drawn.role === 'projector' && leads ? cluster.leader() : drawn
    const blow = random.weighted(mix.weights)
    const lastsMs = Math.round(random.between(...mix.lastsMs))
    const link = random.pick(linksOf(cluster, node))
    const isPostmaster = random.chance(0.5)
    say(`${blow} ${node.name}${blow === 'freeze' || blow === 'swallow' ? ` for ${lastsMs} ms` : ''}`)
    blows[`${blow} ${node.role}`] = (blows[`${blow} ${node.role}`] ?? 0) + 1
    const whom = node.role === 'postgres' && isPostmaster ? 'postmaster' : undefined
    if (blow === 'kill') await node.kill('SIGKILL', whom)
    else if (blow === 'stop') await node.kill('SIGTERM')
    else if (blow === 'freeze') {
      await node.freeze()
      later(lastsMs, node.thaw)
    } else if (blow === 'cut') {
      const refusedMs = random.chance(0.5) ? random.between(0, 3_000) : 0
      for (const proxy of link) {
        proxy.refuse(refusedMs > 0)
        proxy.cut()
        later(refusedMs, () => proxy.refuse(false))
      }
    } else {
      for (const proxy of link) {
        proxy.freeze()
        proxy.freezeNew(true)
        later(lastsMs, () => {
          proxy.freezeNew(false)
          // A network that comes back delivers, or has forgotten the connection.
          if (isPostmaster) proxy.thaw()
          else proxy.cut()
        })
      }
    }
  }
  const next = () => delay(random.between(...mix.pauseMs))

  return {
    blows: () => blows,
    async rounds(count) {
      for (let round = 0; round < count; round += 1) {
        await strike()
        await next()
      }
    },
    async during(ms) {
      for (const end = performance.now() + ms; performance.now() < end; await next()) await strike()
    },
    calm() {
      calming.abort()
      for (const { thaw, links } of cluster.nodes) {
        thaw()
        for (const proxy of Object.values(links)) {
          proxy.refuse(false)
          proxy.thaw()
        }
      }
    },
  }
}

/** What can be cut of a process: each of its ways to others, or, of a server, everybody's way to it. */
function linksOf({ nodes }: Cluster, { role, links }: Node) {
  const own = Object.values(links).map((proxy) => [proxy])
  if (own.length > 0) return own
  return [nodes.flatMap(({ links }) => links[role] ?? [])]
}
