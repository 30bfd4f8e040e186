import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join, sep } from 'node:path'

const project = join(import.meta.dirname, '../..')
/** Where tap keeps what belongs to no commit. */
const place = '.tap/together'
/**
 * Folders whose files are a program each: those directly in test/, most of which start all of SmartCRM and wait for it; and those that ask the log's official
 * client, whose calls of one test fail late, and then in whatever runs in the same process by then.
 */
const apart = ['.', 'eventstore']
/** A folder of more files is several programs, or the last of them would run alone at the end while the other processors idle. */
const MOST = 13

/**
 * What `npm test` runs: the test files of a folder as one program (see together.ts), and some as one each.
 * @returns paths relative to the project
 */
export async function writeGroups(): Promise<string[]> {
  const files = (await readdir(join(project, 'test'), { recursive: true })).filter((file) => file.endsWith('.test.ts')).sort()
  const groups = Map.groupBy(files, (file) => (file.includes(sep) ? file.split(sep)[0]! : '.'))
  await rm(join(project, place), { recursive: true, force: true })
  await mkdir(join(project, place), { recursive: true })
  const programs: string[] = []
  for (const [folder, files] of groups) {
    const paths = files.map((file) => `test/${file.replaceAll(sep, '/')}`)
    if (apart.includes(folder)) {
      programs.push(...paths)
      continue
    }
    const parts = Math.ceil(paths.length / MOST)
    const size = Math.ceil(paths.length / parts)
    for (let part = 0; part < parts; part += 1) {
      const program = `${place}/${folder}${parts > 1 ? `-${part + 1}` : ''}.test.ts`
      const list = paths.slice(part * size, (part + 1) * size).map((path) => `  '${path}',\n`)
      await writeFile(
        join(project, program),
        `import { runTogether } from '../../test/support/together.ts'\n\nrunTogether([\n${list.join('')}])\n`,
      )
      programs.push(program)
    }
  }
  return programs
}
