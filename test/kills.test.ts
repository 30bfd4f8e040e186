import t from 'tap'
import { soak } from './support/soak/soak.ts'

t.setTimeout(300_000)

t.test(
  'ten random blows to the processes of the service lose nothing, double nothing, and leave the tables equal to the log',
  async (t) => {
    const { faults, figures } = await soak({
      seed: Math.floor(Math.random() * 2 ** 31),
      rate: 30,
      mix: { weights: { kill: 6, stop: 1, cut: 3, freeze: 2 }, lastsMs: [500, 2_000], pauseMs: [200, 1_200] },
      extent: { rounds: 10 },
      processes: { apis: 2, projectors: 2, workers: 1 },
      healSeconds: 120,
      importEveryMs: 3_000,
      say: (line) => t.comment(line),
    })
    t.strictSame(faults, [])
    t.comment(figures)
    t.ok(Number(figures['acknowledged']) > 20 && Number(figures['events']) > 100, 'there was something to lose')
  },
)
