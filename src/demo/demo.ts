import { randomBytes } from 'node:crypto'
import { access, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { folderFault } from '../data-folder.ts'
import { Fault } from '../platform/fault.ts'
import { freePort } from '../platform/ports.ts'
import { settings } from '../settings.ts'

/** What is chosen at a demo's first start, and is the same at each later one. */
export type Demo = {
  /** Milliseconds since 1970; the made-up mails are of the time before. */
  startedAt: number
  /** Of the simulated Google, so that what it granted once is good after a restart. */
  secret: string
  /** How many mails the made-up mailbox holds. */
  mails: number
  /** Shown at each start: nobody keeps a demo's. */
  adminKey: string
  /** Where the made-up pages are served: the sources of what was found on them name it, so it stays the same. */
  pagesPort: number
}

/**
 * What the data folder's demo is made of.
 * @returns undefined when it is none and is to be none
 * @throws Fault rather than mix made-up mail with somebody's data, or ask the real Google for the mail of a made-up account
 */
export async function openDemo(config: Config): Promise<Demo | undefined> {
  const { dataFolder: folder, demo: isWanted = false } = config
  const foreign = (['eventStoreUrl', 'databaseUrl', 'blobs'] as const).filter((key) => isWanted && config[key])
  if (foreign.length > 0)
    throw new Fault(`A demo keeps everything in its own folder: take ${foreign.map((key) => settings[key].name).join(', ')} away.`)
  const file = join(folder, 'demo.json')
  const text = await readFile(file, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return null
    throw folderFault(error, folder) ?? error
  })
  if (text !== null && !isWanted) throw new Fault(`${folder} holds a demo: start it with --demo, or set SMARTCRM_DATA to another folder.`)
  if (text !== null) return JSON.parse(text)
  if (!isWanted) return undefined
  if (await isThere(join(folder, 'eventstore')))
    throw new Fault(`${folder} holds data that are not a demo's: leave SMARTCRM_DATA unset, or set it to another folder.`)
  const demo: Demo = {
    startedAt: Date.now(),
    mails: config.demoMails,
    secret: randomBytes(24).toString('base64url'),
    adminKey: `demo-${randomBytes(18).toString('base64url')}`,
    pagesPort: await freePort(),
  }
  try {
    await writeFile(`${file}.new`, JSON.stringify(demo), { mode: 0o600 })
    await rename(`${file}.new`, file)
  } catch (error) {
    throw folderFault(error, folder) ?? error
  }
  return demo
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
