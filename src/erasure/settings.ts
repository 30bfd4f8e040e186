import { resolve } from 'node:path'
import { matching, optional, setting } from '../setting.ts'

const timeOfDay = (text: string): number => {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? []
  if (!hours) throw new Error('has to be a time of day, from 00:00 to 23:59')
  return Number(hours) * 60 + Number(minutes)
}

const paths = (text: string): string[] => {
  const named = text.split(',').map((path) => path.trim())
  if (named.some((path) => path === '')) throw new Error('has to be paths, parted by commas')
  return named.map((path) => resolve(path))
}

export const erasureSettings = {
  erasureConfirmation: optional({
    name: 'ERASURE_CONFIRMATION',
    description: 'true: a person is erased only when a second API key has confirmed it',
    parse: (text) => matching(/^(true|false)$/, 'true or false')(text) === 'true',
  }),
  erasureRewriteAt: setting({
    name: 'ERASURE_REWRITE_AT',
    default: '03:00',
    description: 'When (UTC) tables and write-ahead log are written anew after something was erased, so that it is gone from the disk too',
    parse: timeOfDay,
  }),
  erasureList: optional({
    name: 'ERASURE_LIST',
    description:
      'File with the list of erasures, by which they are made again after a backup from before them was restored. Not to be restored itself; all workers need it. Unset: erasures.jsonl in the data folder',
    parse: (text) => resolve(text),
  }),
  erasureLogs: optional({
    name: 'ERASURE_LOGS',
    description: 'Files and folders that the log is written to, parted by commas: what was erased is looked for in them too',
    parse: paths,
  }),
}
