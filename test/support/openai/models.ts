/*
 * Stand-ins for a language model: what they answer depends on what they were given, by rules that one can read here.
 */

/** What the model is given: the marked material of our prompt (src/enrichment/prompt.ts). */
export type Material = {
  sources: { id: string; kind: string; title?: string; text: string }[]
  person?: { name?: string; company?: string | null }
}
export type Said = { field: string; value: string; source: string; quote: string; confidence: number }
export type Model = (material: Material, whole: string) => unknown

type Rule = { field: string; pattern: RegExp; confidence: number }
const rules: Rule[] = [
  {
    field: 'jobTitle',
    pattern:
      /\b(?:is|as|,) (?:our |the |a )?((?:Head|Director|VP|Chief|Lead|Senior|Managing|Account|Product|Sales|Software)[A-Za-z ]{2,40}?)(?= (?:at|of our|for)\b)/,
    confidence: 0.9,
  },
  { field: 'company', pattern: /\bat ([A-Z][\w&]*(?: [A-Z][\w&]*){0,3}(?: (?:Ltd|GmbH|Inc|Group|Works|Labs))?)/, confidence: 0.85 },
  { field: 'location', pattern: /\b[Bb]ased in ([A-Z][\p{L} ]+?)(?=[.,;\n]|$)/u, confidence: 0.8 },
  { field: 'phones', pattern: /(?:Phone|Tel|Call)[^+\d]{0,12}(\+\d[\d ()-]{6,18}\d)/, confidence: 0.9 },
  { field: 'website', pattern: /\b(?:website|site|visit)[: ]+(https?:\/\/[^\s)>"]+)/i, confidence: 0.9 },
  { field: 'socialProfiles', pattern: /(https?:\/\/(?:www\.)?(?:linkedin|github|mastodon)\.[\w./-]+\w)/, confidence: 0.9 },
  { field: 'interests', pattern: /\b(?:interested in|passionate about|loves) ([a-z][a-z ]{2,40}?)(?=[.,;\n]|$)/, confidence: 0.6 },
  { field: 'nextStep', pattern: /\b(?:Could you|Can you|Please) ([a-z][^.?!\n]{5,120})[.?!]/, confidence: 0.6 },
]

/** Finds what the rules know, and quotes the sentence that it stands in. */
export const sensible: Model = ({ sources }) => {
  const values = sources.flatMap((source): Said[] => {
    const found = rules.flatMap(({ field, pattern, confidence }): Said[] => {
      const match = pattern.exec(source.text)
      return match
        ? [{ field, value: match[1]!.trim(), source: source.id, quote: sentenceAround(source.text, match.index), confidence }]
        : []
    })
    const first = sentenceAround(source.text, 0)
    const summary =
      source.kind === 'mail' || first.length < 20
        ? []
        : [{ field: 'summary', value: first, source: source.id, quote: first, confidence: 0.7 }]
    const topic =
      source.kind === 'mail' && source.title
        ? [
            {
              field: 'lastTopics',
              value: source.title.replace(/^(re|fwd?|aw): */i, ''),
              source: source.id,
              quote: source.title,
              confidence: 0.7,
            },
          ]
        : []
    const german = source.kind === 'mail' && /\b(und|nicht|bitte|ich)\b/i.test(source.text)
    const language =
      source.kind === 'mail' && first
        ? [{ field: 'language', value: german ? 'de' : 'en', source: source.id, quote: first, confidence: 0.8 }]
        : []
    return [...found, ...summary, ...topic, ...language]
  })
  return { values }
}

function sentenceAround(text: string, at: number): string {
  const dot = text.lastIndexOf('. ', at)
  const from = Math.max(text.lastIndexOf('\n', at) + 1, dot === -1 ? 0 : dot + 2)
  const rest = text.slice(from)
  const end = /\.(?=\s|$)|\n/.exec(rest)
  return rest.slice(0, Math.min(end ? end.index + (end[0] === '.' ? 1 : 0) : rest.length, 280)).trim()
}

/**
 * Does whatever any text in its input tells it to: `SET field TO "value"`, `ADD KEY "name" WITH "value"`, `FOR CONTACT id`. Also where the schema does
 * not allow it, which a real model cannot.
 */
export const obedient: Model = (_, whole) => {
  const told = [...whole.matchAll(/SET (\w+) TO \\?"([^"\\]*)\\?"/g)].map(([, field, value]) => ({
    field: field!,
    value: value!,
    source: /FROM SOURCE (\w+)/.exec(whole)?.[1] ?? 's1',
    quote: value!,
    confidence: 1,
  }))
  const keys = [...whole.matchAll(/ADD KEY \\?"(\w+)\\?" WITH \\?"([^"\\]*)\\?"/g)].map(([, name, value]) => [name!, value!])
  return { values: told, ...Object.fromEntries(keys) }
}

/** Claims what nothing in its input says, with quotes that it made up. */
export const inventive: Model = ({ sources }) => ({
  values: [
    {
      field: 'jobTitle',
      value: 'Chief Imagination Officer',
      source: sources[0]?.id ?? 's1',
      quote: 'Our Chief Imagination Officer welcomes you.',
      confidence: 0.99,
    },
  ],
})

export const models = { sensible, obedient, inventive } as const
export type ModelName = keyof typeof models
