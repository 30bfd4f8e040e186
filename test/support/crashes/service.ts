import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startWhole } from '../whole.ts'

type Teardown = { teardown(clear: () => unknown): void }
type Whole = Awaited<ReturnType<typeof startWhole>>

export const key = 'a-key-for-tests-0123456789'

export type Crashing = {
  readonly folder: string
  /** What runs now. */
  readonly whole: Whole
  /** `kill -9` of all of it, and another start. */
  crash(): Promise<void>
}

/** A whole SmartCRM in a folder of its own, in the middle of whose work everything can be killed. */
export async function startCrashing(t: Teardown): Promise<Crashing> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-crash-'))
  await chmod(folder, 0o755)
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const start = () => startWhole(t, folder, { SMARTCRM_ADMIN_KEY: key })
  let whole = await start()
  return {
    folder,
    get whole() {
      return whole
    },
    async crash() {
      await whole.killAll()
      whole = await start()
    },
  }
}
