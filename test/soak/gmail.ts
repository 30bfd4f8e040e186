/** Fetches a mailbox of 10,000 messages from a simulated Google that fails in every way, under kill -9 of worker, projector and event node. `npm run soak -- gmail [--messages 10000] [--quota 310] [--blows 30] [--seed N] [--keep]`. */
import { parseArgs } from 'node:util'
import { gmailSoak } from '../support/soak/gmail.ts'

const { messages, quota, blows, seed, keep } = parseArgs({
  options: {
    messages: { type: 'string', default: '10000' },
    /**
     * Units that Google allows in a minute of its time, which is a second here; a message costs 20. A hundredth of them is spared, so with few units that is
     * to leave a multiple of 20, or what cannot be used of them is more than a tenth: 104, 206, 310, 412, 620.
     */
    quota: { type: 'string', default: '310' },
    blows: { type: 'string', default: '30' },
    seed: { type: 'string' },
    keep: { type: 'boolean' },
  },
}).values
const { faults, figures } = await gmailSoak({
  seed: seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(seed),
  messages: Number(messages),
  quotaUnits: Number(quota),
  blows: Number(blows),
  pauseMs: [2_000, 35_000],
  quietShare: 0.3,
  isUseHeld: true,
  keep: keep ?? false,
  say: (line) => console.log(line),
})
console.log(JSON.stringify(figures, null, 2))
console.log(faults.length > 0 ? `\n${faults.join('\n')}` : '\nNothing is wrong.')
process.exitCode = faults.length > 0 ? 1 : 0
