import { type Settings, soak } from './soak.ts'

/** Runs a soak and prints what came of it; the process ends with 1 if there were faults. @param seed a number; any, if it is not given */
export async function soakFromCommandLine(
  seed: string | undefined,
  settings: Pick<Settings, 'rate' | 'mix' | 'extent' | 'keep'>,
): Promise<void> {
  const { faults, figures } = await soak({
    seed: seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(seed),
    healSeconds: 60,
    takeoverSeconds: 20,
    importEveryMs: 5_000,
    say: (line) => console.log(line),
    ...settings,
  })
  console.log(JSON.stringify(figures, null, 2))
  console.log(faults.length > 0 ? `\n${faults.join('\n')}` : '\nNothing is wrong.')
  process.exitCode = faults.length > 0 ? 1 : 0
}
