import t from 'tap'
import { projections } from '../projections/index.ts'
import { enrichmentFaults } from './support/enrichment-faults.ts'
import { withLiveTables } from './support/live-template.ts'
import { testDatabase } from './support/postgres.ts'

t.setTimeout(240_000)

t.test('whatever goes wrong at the vendors, and whoever is killed: each enrichment has one end, and no call is paid twice', async (t) => {
  const seed = Number(process.env['ENRICHMENT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.comment(`seed ${seed}`)
  const { faults, figures } = await enrichmentFaults(t, {
    contacts: 16,
    kills: 2,
    databaseUrl: (await testDatabase(t, withLiveTables(projections))).url,
    seed,
    patienceSeconds: 180,
    say: (line) => t.comment(line),
  })
  t.comment(JSON.stringify(figures))
  t.strictSame(faults, [])
})
