import { createRandom, type Random } from '../soak/random.ts'

/*
 * People and companies that do not exist: domains under .example and .test (RFC 2606), telephone numbers out of the ranges that are kept for fiction.
 */
export type Language = 'en' | 'de' | 'fr' | 'es' | 'pl' | 'ja'

export type Company = {
  readonly name: string
  readonly domain: string
  readonly site: string
  readonly industry: string
  readonly about: string
  readonly city: string
  readonly country: string
  readonly language: Language
  /** Of its clock, as mails carry it. */
  readonly offset: string
  readonly phone: string
}

export type Person = {
  readonly name: string
  readonly firstName: string
  readonly lastName: string
  readonly address: string
  readonly company: Company
  readonly title: string
  readonly phone: string
  readonly mobile: string | undefined
  /** The address of a page about this person. */
  readonly profile: string
  readonly language: Language
}

type Draft = [
  name: string,
  domain: string,
  industry: string,
  city: string,
  country: string,
  language: Language,
  offset: string,
  about: string,
]

const drafts: Draft[] = [
  [
    'Harbourline Logistics',
    'harbourline.example',
    'Logistics',
    'Bristol',
    'United Kingdom',
    'en',
    '+0000',
    'Moves containers between the ports of the Severn and the rest of Europe.',
  ],
  [
    'Quillmark Press',
    'quillmark.example',
    'Publishing',
    'Edinburgh',
    'United Kingdom',
    'en',
    '+0000',
    'Publishes textbooks for engineers and the people who train them.',
  ],
  [
    'Tallgrass Foods',
    'tallgrass-foods.example',
    'Food production',
    'Omaha',
    'United States',
    'en',
    '-0600',
    'Mills grain and bakes bread for canteens and schools.',
  ],
  [
    'Bluefern Software',
    'bluefern.test',
    'Software',
    'Portland',
    'United States',
    'en',
    '-0800',
    'Builds planning software for workshops with fewer than fifty people.',
  ],
  [
    'Copperbay Energy',
    'copperbay.example',
    'Energy',
    'Aberdeen',
    'United Kingdom',
    'en',
    '+0000',
    'Runs small hydropower plants and measures everything that flows.',
  ],
  ['Lindqvarn Maskin', 'lindqvarn.example', 'Machine tools', 'Malmö', 'Sweden', 'en', '+0100', 'Makes lathes that last for forty years.'],
  [
    'Rowangate Clinics',
    'rowangate-clinics.example',
    'Health care',
    'Dublin',
    'Ireland',
    'en',
    '+0000',
    'Eleven day clinics and the laboratory behind them.',
  ],
  [
    'Oakstile Instruments Trading',
    'oakstile-trading.example',
    'Wholesale',
    'Leeds',
    'United Kingdom',
    'en',
    '+0000',
    'Sells measuring instruments of thirty makers.',
  ],
  [
    'Peregrine Facilities',
    'peregrine-facilities.test',
    'Building services',
    'Manchester',
    'United Kingdom',
    'en',
    '+0000',
    'Looks after the heating and cooling of four hundred buildings.',
  ],
  [
    'Sable & Thorne',
    'sablethorne.example',
    'Law',
    'London',
    'United Kingdom',
    'en',
    '+0000',
    'Advises makers of things on contracts, patents and quarrels.',
  ],
  [
    'Mapleworks Robotics',
    'mapleworks.example',
    'Robotics',
    'Ann Arbor',
    'United States',
    'en',
    '-0500',
    'Teaches industrial robots to notice what they touch.',
  ],
  [
    'Brightwater Utilities',
    'brightwater.example',
    'Water supply',
    'Cardiff',
    'United Kingdom',
    'en',
    '+0000',
    'Supplies water to two million households.',
  ],
  [
    'Falkner Messtechnik GmbH',
    'falkner-messtechnik.example',
    'Measuring technology',
    'Stuttgart',
    'Germany',
    'de',
    '+0100',
    'Kalibriert Sensoren für Labore und Werkstätten.',
  ],
  [
    'Nordlicht Anlagenbau GmbH',
    'nordlicht-anlagen.example',
    'Plant construction',
    'Hamburg',
    'Germany',
    'de',
    '+0100',
    'Baut Anlagen für Molkereien und Brauereien.',
  ],
  [
    'Grünwald & Söhne',
    'gruenwald-soehne.example',
    'Wholesale',
    'Nürnberg',
    'Germany',
    'de',
    '+0100',
    'Großhandel für Werkzeug und Verbindungstechnik seit 1911.',
  ],
  [
    'Rheinblick Pharma AG',
    'rheinblick-pharma.example',
    'Pharmaceuticals',
    'Basel',
    'Switzerland',
    'de',
    '+0100',
    'Stellt Infusionslösungen für Krankenhäuser her.',
  ],
  ['Zirbel Software', 'zirbel.test', 'Software', 'Innsbruck', 'Austria', 'de', '+0100', 'Software für Seilbahnen und Skigebiete.'],
  [
    'Ateliers Montclair',
    'ateliers-montclair.example',
    'Mechanical engineering',
    'Lyon',
    'France',
    'fr',
    '+0100',
    'Usine des pièces de précision pour l’aéronautique.',
  ],
  [
    'Laiterie du Vallon',
    'laiterie-vallon.example',
    'Food production',
    'Annecy',
    'France',
    'fr',
    '+0100',
    'Fromages et yaourts de montagne, du pis au pot.',
  ],
  [
    'Cabinet Desroches',
    'cabinet-desroches.example',
    'Consulting',
    'Bruxelles',
    'Belgium',
    'fr',
    '+0100',
    'Conseil en organisation pour les collectivités.',
  ],
  [
    'Hidráulica Peñalba',
    'hidraulica-penalba.example',
    'Hydraulics',
    'Zaragoza',
    'Spain',
    'es',
    '+0100',
    'Bombas y válvulas para el riego y la industria.',
  ],
  [
    'Bodegas Altamira del Río',
    'altamira-bodegas.example',
    'Wine',
    'Logroño',
    'Spain',
    'es',
    '+0100',
    'Vinos de la ribera desde hace cuatro generaciones.',
  ],
  ['Zakłady Wiśniewo', 'wisniewo.example', 'Metal working', 'Łódź', 'Poland', 'pl', '+0100', 'Odlewnia i obróbka metali kolorowych.'],
  [
    'Kitayama Sensors',
    'kitayama-sensors.example',
    'Electronics',
    'Sendai',
    'Japan',
    'ja',
    '+0900',
    '産業用の温度センサーと圧力センサーを製造しています。',
  ],
]

const owned: Draft = [
  'Fairhaven Instruments',
  'fairhaven.example',
  'Measuring technology',
  'Norwich',
  'United Kingdom',
  'en',
  '+0000',
  'Makes sensors that tell when a machine is about to break.',
]

const firstNames: Record<Language, string> = {
  en: 'Alice Amara Ben Bridget Callum Carla Dana Declan Edith Elena Felix Freya Gareth Grace Harvey Imogen Isaac Jasmine Joel Keira Leon Lucinda Marcus Maya Nathan Nora Oliver Priya Quentin Rosa Samuel Tessa Umar Violet Wesley Yasmin',
  de: 'Anke Bernd Cornelia Dörte Emil Friederike Günther Hannelore Ingo Jürgen Käthe Lars Maren Norbert Olaf Petra Rüdiger Sönke Ursula Wiebke',
  fr: 'Aurélie Benoît Céline Damien Élodie François Gaëlle Hélène Inès Jérôme Loïc Margaux Noémie Olivier Rémi Solène Théo Véronique',
  es: 'Álvaro Begoña Concepción Diego Esperanza Íñigo Joaquín Lucía Martín Nuria Óscar Pilar Raúl Sofía',
  pl: 'Agnieszka Bartłomiej Dorota Jędrzej Łukasz Małgorzata Paweł Stanisława Wojciech Żaneta',
  ja: 'Aiko Daichi Haruka Kenji Naoko Ren Shun Yumi',
}

const lastNames: Record<Language, string> = {
  en: 'Ashdown Birchall Crane Dunmore Eastlake Garland Hollis Ingleby Jessop Kingsley Larkin Merriweather Northcott Okonjo Pemberton Quayle Rashid Stonebridge Thackeray Underhill Vane Whitlock Yardley',
  de: 'Abendroth Birnbaum Dachsteiner Eichenlaub Feldmüller Großkopf Habermann Immenstädt Kühnert Lindenschmidt Möwenthal Ostermoor Pfefferkorn Röhrig Sonnleitner Weißgerber',
  fr: 'Aubépine Beaulieu Chêneclair Delorme Fontanelle Gérardin Hautecour Lavandière Montreuil Péligrin Rivoire Vauquelin',
  es: 'Almendro Belmontes Castañeda Espinosa Fuentecilla Montalbán Olivares Peñafiel Robledo Valdeón',
  pl: 'Brzozowska Dąbek Gołąb Jaworek Krzemiński Łąkowski Sosnowiec Wróbelska',
  ja: 'Aoyanagi Fujikura Hoshikawa Kuromatsu Minamoto Shirakawa Takehara Umezawa',
}

const titles: Record<Language, readonly string[]> = {
  en: [
    'Head of Purchasing',
    'Production Manager',
    'Chief Engineer',
    'Account Manager',
    'Finance Director',
    'Quality Lead',
    'Maintenance Planner',
    'Operations Director',
    'Project Manager',
    'Office Manager',
    'Data Analyst',
    'Managing Director',
    'IT Manager',
    'Research Scientist',
    'Logistics Coordinator',
    'Legal Counsel',
  ],
  de: [
    'Leiterin Einkauf',
    'Produktionsleiter',
    'Geschäftsführer',
    'Qualitätsmanagement',
    'Projektleitung',
    'Buchhaltung',
    'Vertrieb Außendienst',
    'Instandhaltung',
  ],
  fr: ['Directrice des achats', 'Responsable production', 'Chef de projet', 'Ingénieure qualité', 'Directeur général', 'Comptabilité'],
  es: ['Directora de compras', 'Jefe de mantenimiento', 'Responsable de calidad', 'Gerente', 'Administración'],
  pl: ['Kierownik produkcji', 'Dział zakupów', 'Główny inżynier', 'Księgowość'],
  ja: ['Engineering Manager', 'Purchasing', 'Sales Engineer', 'Quality Assurance'],
}

const plain = (text: string): string =>
  text
    .replaceAll(/[øØ]/g, 'o')
    .replaceAll(/[łŁ]/g, 'l')
    .replaceAll('ß', 'ss')
    .replaceAll(/[äöü]/g, (letter) => ({ ä: 'ae', ö: 'oe', ü: 'ue' })[letter]!)
    .normalize('NFD')
    .replaceAll(/[^A-Za-z]/g, '')
    .toLowerCase()

const digits = (random: Random, count: number) => Array.from({ length: count }, () => Math.floor(random.next() * 10)).join('')

/** Ofcom's, the FCC's, the Bundesnetzagentur's, the ARCEP's and PTS's numbers for drama; who has none of their own has an office in London. */
function phoneIn(country: string, random: Random): string {
  if (country === 'United States') return `+1 206 555 01${digits(random, 2)}`
  if (['Germany', 'Austria', 'Switzerland'].includes(country)) return `+49 30 23125 ${digits(random, 3)}`
  if (['France', 'Belgium'].includes(country)) return `+33 1 99 00 ${digits(random, 2)} ${digits(random, 2)}`
  if (country === 'Sweden') return `+46 8 465 004 ${digits(random, 2)}`
  return `+44 20 7946 0${digits(random, 3)}`
}

const mobileIn = (country: string, random: Random) => (country === 'United Kingdom' ? `+44 7700 900${digits(random, 3)}` : undefined)

const companyOf = ([name, domain, industry, city, country, language, offset, about]: Draft, random: Random): Company => ({
  name,
  domain,
  site: `https://www.${domain}`,
  industry,
  about,
  city,
  country,
  language,
  offset,
  phone: phoneIn(country, random),
})

const styles: ((first: string, last: string) => string)[] = [
  (first, last) => `${first}.${last}`,
  (first, last) => `${first[0]}.${last}`,
  (first, last) => `${first}${last[0]}`,
  (first) => first,
  (first, last) => `${last}.${first}`,
]

/** Makes somebody who works there. @param taken addresses and names that are somebody's already; the new ones are entered */
export function personOf(company: Company, index: number, random: Random, taken: Set<string>): Person {
  const { language, domain, country } = company
  const pick = (text: string) => random.pick(text.split(' '))
  for (let tries = 0; ; tries += 1) {
    const firstName = pick(firstNames[language])
    const lastName = pick(lastNames[language])
    // When all are taken there are two of the same name.
    const name = `${firstName} ${lastName}`
    const local = styles[domain.length % styles.length]!(plain(firstName), plain(lastName))
    const address = `${local}${tries < 50 ? '' : index}@${domain}`
    if ((tries < 50 && taken.has(name)) || taken.has(address)) continue
    taken.add(name).add(address)
    const slug = `${plain(firstName)}-${plain(lastName)}-${index}`
    const title = random.pick(titles[language])
    const profile = `https://profiles.example/in/${slug}`
    return {
      name,
      firstName,
      lastName,
      address,
      company,
      title,
      phone: phoneIn(country, random),
      mobile: mobileIn(country, random),
      profile,
      language,
    }
  }
}

export type Society = {
  /** Whose mailbox it is; works for the first company. */
  readonly owner: Person & { readonly aliases: readonly string[] }
  /** The owner's own first. */
  readonly companies: readonly Company[]
  /** Without the owner. A few of them are the owner's colleagues. */
  readonly people: readonly Person[]
}

/** So many people at 25 companies, the same for the same seed. */
export function madeUpSociety(count: number, seed = 1): Society {
  const random = createRandom(seed)
  const [own, ...others] = [owned, ...drafts].map((draft) => companyOf(draft, random)) as [Company, ...Company[]]
  const owner = {
    name: 'Robin Fairweather',
    firstName: 'Robin',
    lastName: 'Fairweather',
    address: `robin.fairweather@${own.domain}`,
    aliases: [`robin@${own.domain}`, `sales@${own.domain}`],
    company: own,
    title: 'Sales Director',
    phone: own.phone,
    mobile: '+44 7700 900123',
    profile: 'https://profiles.example/in/robin-fairweather',
    language: 'en',
  } as const
  const taken = new Set([owner.name, owner.address, ...owner.aliases])
  const people = Array.from({ length: count }, (_, index) => {
    const isColleague = index % 20 === 7
    return personOf(isColleague ? own : others[index % others.length]!, index, random, taken)
  })
  return { owner, companies: [own, ...others], people }
}
