import type { Page } from '../apify/apify.ts'

/** Who is on a page; of made-up people only. */
export type OnPage = {
  readonly name: string
  readonly email: string
  readonly title?: string
  readonly city?: string
  readonly phone?: string
}

const titles = [
  'Head of Operations',
  'Product Manager',
  'Sales Director',
  'Lead Engineer',
  'Managing Partner',
  'Account Manager',
  'Director of Research',
]
const cities = ['Leeds', 'Utrecht', 'Graz', 'Malmö', 'Porto', 'Galway', 'Ghent']
const interests = ['bridge building', 'open data', 'sailing', 'steam engines', 'type design']

const digest = (text: string) => [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7)
const pick = <T>(list: readonly T[], by: string): T => list[digest(by) % list.length]!

export const companyOf = (domain: string): string =>
  `${domain.split('.')[0]!.replaceAll(/(^|-)(\w)/g, (_, dash, letter) => `${dash ? ' ' : ''}${letter.toUpperCase()}`)} Works`

/** The pages of each company that the people's addresses name: one that tells of the company and of each of them. By the address that they are asked by. */
export function madeUpPages(people: readonly OnPage[]): Record<string, Page> {
  const byDomain = Map.groupBy(people, ({ email }) => email.split('@')[1]!.toLowerCase())
  return Object.fromEntries(
    [...byDomain].map(([domain, them]) => {
      const company = companyOf(domain)
      const url = `https://${domain}/`
      const lines = them.map(({ name, email, title = pick(titles, email), city = pick(cities, domain), phone }) => {
        const called = phone ?? `+44 20 7946 ${String(digest(email) % 10_000).padStart(4, '0')}`
        return `${name} is our ${title} at ${company}. ${name.split(' ')[0]} is based in ${city}. Phone: ${called}. ${name.split(' ')[0]} is interested in ${pick(interests, email)}.`
      })
      return [
        url,
        {
          url,
          title: `${company}: about us`,
          text: [`${company} makes things that last, since 1987.`, ...lines, `Visit https://${domain}/ for more.`].join('\n'),
        },
      ]
    }),
  )
}
