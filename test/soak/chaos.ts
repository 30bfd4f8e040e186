/**
 * Ten minutes of everything that can happen to processes and connections, under 200 commands a second. `npm run soak -- chaos [--seconds 600] [--rate 200]
 * [--seed N] [--keep]`.
 */
import { parseArgs } from 'node:util'
import { soakFromCommandLine } from '../support/soak/command-line.ts'

const { seconds, rate, seed, keep } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    rate: { type: 'string', default: '200' },
    seed: { type: 'string' },
    keep: { type: 'boolean' },
  },
}).values
await soakFromCommandLine(seed, {
  keep: keep ?? false,
  rate: Number(rate),
  mix: { weights: { kill: 5, stop: 1, cut: 4, freeze: 2, swallow: 1 }, lastsMs: [30_000, 30_000], pauseMs: [1_000, 12_000] },
  extent: { seconds: Number(seconds) },
})
