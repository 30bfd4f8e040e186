import { access, constants, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from './platform/fault.ts'
import { makeFolder } from './platform/postgres-user.ts'
import type { Role } from './roles/role.ts'

/** Changes when an older SmartCRM could not use what a newer one wrote into the folder. */
const version = 1

/**
 * Makes the data folder if it is not there, and sees that it is one for this SmartCRM.
 * @throws Fault when it is not, or cannot be used
 */
export async function openDataFolder(folder: string): Promise<void> {
  const file = join(folder, 'version')
  try {
    await makeFolder(folder)
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    const text = await readFile(file, 'utf8').catch((error) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    if (text === null) {
      await writeFile(`${file}.new`, `${version}\n`)
      await rename(`${file}.new`, file)
    } else if (!(Number(text) <= version)) {
      throw new Fault(
        `The data in ${folder} is of a newer SmartCRM (version ${text.trim()}, this one knows up to ${version}): start that one, or set SMARTCRM_DATA to another folder.`,
      )
    }
  } catch (error) {
    throw folderFault(error, folder) ?? error
  }
}

/** The file whose lock a role (or the supervisor) holds as long as it uses the folder. */
export const lockOf = (folder: string, role: Role | 'supervisor'): string => join(folder, 'locks', `${role}.lock`)

/** SQLITE_FULL, https://www.sqlite.org/rescode.html#full */
const sqliteFull = 13

/** The sentence for an error of the file system or of SQLite, or null for an error that is none of the common ones. */
export function folderFault(error: unknown, folder: string): Fault | null {
  const reasons: Record<string, string> = {
    EACCES: 'may not be used by this user',
    EPERM: 'may not be used by this user',
    EROFS: 'can only be read',
    ENOENT: 'cannot be made there',
    ENOTDIR: 'is not a folder',
    EEXIST: 'is not a folder',
  }
  const { code = '', errcode } = error as NodeJS.ErrnoException & { errcode?: number }
  if (code === 'ENOSPC' || errcode === sqliteFull)
    return new Fault(`The disk that holds ${folder} is full: make room there, then start again.`)
  return reasons[code] ? new Fault(`The data folder ${folder} ${reasons[code]}: set SMARTCRM_DATA to a folder that can be written.`) : null
}
