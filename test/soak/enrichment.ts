/** Enriches contacts while vendors fail in every way and processes are killed at random: `npm run soak -- enrichment [--contacts 1000] [--kills 25] [--seed N]`. */
import { parseArgs } from 'node:util'
import { enrichmentFaults } from '../support/enrichment-faults.ts'

const { contacts, kills, seed } = parseArgs({
  options: { contacts: { type: 'string', default: '1000' }, kills: { type: 'string', default: '25' }, seed: { type: 'string' } },
}).values
const chosen = seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(seed)
const teardowns: (() => unknown)[] = []
console.log(`seed ${chosen}`)
try {
  const { faults, figures } = await enrichmentFaults(
    { teardown: (clear) => teardowns.push(clear) },
    { contacts: Number(contacts), kills: Number(kills), seed: chosen, patienceSeconds: 3_600, say: console.log },
  )
  console.log(JSON.stringify(figures))
  for (const fault of faults) console.error(fault)
  process.exitCode = faults.length > 0 ? 1 : 0
} finally {
  for (const clear of teardowns.toReversed()) await clear()
}
