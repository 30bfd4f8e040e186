import t from 'tap'
import { gmailSoak } from './support/soak/gmail.ts'

t.setTimeout(300_000)

t.test('a mailbox comes in whole and once, whatever fails at Google, and whoever of us is killed meanwhile', async (t) => {
  const { faults, figures } = await gmailSoak({
    seed: Math.floor(Math.random() * 2 ** 31),
    messages: 60,
    // More than this machine may get through: that Google is never asked for too much holds all the same.
    quotaUnits: 600,
    blows: 3,
    processes: { projectors: 1, workers: 2 },
    pauseMs: [300, 1_500],
    quietShare: 0.2,
    isUseHeld: false,
    hurry: true,
    say: (line) => t.comment(line),
  })
  t.strictSame(faults, [])
  t.ok(Number(figures['stored']) > 35, JSON.stringify(figures))
})
