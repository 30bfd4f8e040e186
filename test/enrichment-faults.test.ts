import t from 'tap'
import { enrichmentFaults } from './support/enrichment-faults.ts'

t.setTimeout(240_000)

t.test('whatever goes wrong at the vendors, and whoever is killed: each enrichment has one end, and no call is paid twice', async (t) => {
  const seed = Number(process.env['ENRICHMENT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.comment(`seed ${seed}`)
  const { faults, figures } = await enrichmentFaults(t, {
    contacts: 16,
    kills: 2,
    seed,
    patienceSeconds: 180,
    say: (line) => t.comment(line),
  })
  t.comment(JSON.stringify(figures))
  t.strictSame(faults, [])
})
