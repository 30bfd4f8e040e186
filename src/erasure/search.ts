import { fstatSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { Blobs } from '../platform/blobs.ts'
import type { Pool } from '../platform/database.ts'
import type { Sought } from '../platform/erasure/forms.ts'
import { type Scan, scan } from '../platform/erasure/scan.ts'

/** Where something of a person could have been left beside the database. */
export type Searched = {
  readonly dataFolder: string
  /** Files and folders: the data folder, and what the log is written to. */
  readonly files: readonly string[]
  /** The embedded Postgres's own files, in which what was deleted is until it is rewritten. */
  readonly cluster: string
  /** Blobs are not in these folders. */
  readonly isBucket: boolean
}

export function searchedOf({ dataFolder, erasureLogs = [], blobs }: Pick<Config, 'dataFolder' | 'erasureLogs' | 'blobs'>): Searched {
  const files = [...new Set([dataFolder, ...erasureLogs, ...ownOutput()])]
  return { dataFolder, files, cluster: join(dataFolder, 'postgres', 'cluster'), isBucket: blobs !== undefined }
}

/** The file that standard output goes to, where it is one and the system tells. */
function ownOutput(): string[] {
  try {
    return fstatSync(1).isFile() ? [readlinkSync('/proc/self/fd/1')] : []
  } catch {
    return []
  }
}

type Needs = { readonly pool: Pool; readonly blobs: Blobs; readonly searched: Searched }

/**
 * Looks for values of a person everywhere that we can look. Places in the data folder are named from there.
 * @param isPhysical the database was rewritten just now, so Postgres's own files are looked through too
 * @throws as `scan`
 */
export async function searchFor(
  { pool, blobs, searched: { dataFolder, files, cluster, isBucket } }: Needs,
  sought: readonly Sought[],
  { isPhysical, signal }: { isPhysical: boolean; signal?: AbortSignal },
): Promise<Scan> {
  const searched = await scan({
    pool,
    sought,
    files,
    except: isPhysical ? [] : [cluster],
    ...(isBucket && { blobs }),
    ...(signal && { signal }),
  })
  const named = <P extends { readonly place: string }>(found: P): P => ({
    ...found,
    place: found.place.replace(`file ${dataFolder}/`, 'file '),
  })
  return { ...searched, findings: searched.findings.map(named), unread: searched.unread.map(named) }
}
