/** Which events of `$all` a reader wants. */
export type Filter = { matches(stream: string, type: string): boolean; windowSize: number; checkpointInterval: number }

/** The server searches this many events before it looks up again, where the client names no window. */
const DEFAULT_WINDOW = 32

export type FilterRequest = {
  on: 'stream' | 'type'
  regex: string
  prefixes: string[]
  /** Undefined: no window was asked for. */
  maxSearchWindow: number | undefined
  checkpointIntervalMultiplier: number
}

/** Throws a sentence where the expression cannot be used. */
export function createFilter(request: FilterRequest): Filter {
  const { on, regex, prefixes, checkpointIntervalMultiplier } = request
  const windowSize = request.maxSearchWindow || DEFAULT_WINDOW
  if (checkpointIntervalMultiplier < 1) throw new RangeError('The checkpoint interval of a filter must be at least 1.')
  const fits = regex === '' ? (text: string) => prefixes.some((prefix) => text.startsWith(prefix)) : matcher(regex)
  return {
    matches: (stream, type) => fits(on === 'stream' ? stream : type),
    windowSize,
    checkpointInterval: windowSize * checkpointIntervalMultiplier,
  }
}

/** The server reads .NET expressions; of what JavaScript writes differently, options at the start, `(?i)`, are used in practice. */
function matcher(regex: string): (text: string) => boolean {
  const [, options = '', body = ''] = /^(?:\(\?([ims]+)\))?([\s\S]*)$/.exec(regex) ?? []
  const expression = compile(body, options)
  return (text) => expression.test(text)
}

function compile(body: string, options: string): RegExp {
  try {
    return new RegExp(body, `${options}u`)
  } catch {
    return new RegExp(body, options)
  }
}
