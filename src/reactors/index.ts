import type { Reactor } from '../platform/reactor.ts'

/** Every reactor there is. A test keeps this list complete. */
export const reactors: readonly Reactor[] = []
