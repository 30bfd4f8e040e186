/** Kills, ends and freezes every process of the service at random, 100 times, under a load of commands. `npm run soak -- kills [--rounds 100] [--rate 100] [--seed N] [--keep]`. */
import { parseArgs } from 'node:util'
import { soakFromCommandLine } from '../support/soak/command-line.ts'

const { rounds, rate, seed, keep } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    rate: { type: 'string', default: '100' },
    seed: { type: 'string' },
    keep: { type: 'boolean' },
  },
}).values
await soakFromCommandLine(seed, {
  keep: keep ?? false,
  rate: Number(rate),
  mix: { weights: { kill: 7, stop: 2, freeze: 1 }, lastsMs: [1_000, 25_000], pauseMs: [500, 5_000] },
  extent: { rounds: Number(rounds) },
})
