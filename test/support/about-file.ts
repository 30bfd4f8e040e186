import { readFileSync } from 'node:fs'

/** The first sentence of what a file says of itself in the comment that it begins with, before or after its imports. */
export function aboutFile(path: string): string {
  const [, comment = ''] = /^(?:import .*\n|\s)*\/\*\*?([\s\S]*?)\*\//.exec(readFileSync(path, 'utf8')) ?? []
  const text = comment
    .replace(/\n\s*\*/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return /^.*?[.;](?=\s|$)/.exec(text)?.[0] ?? text
}
