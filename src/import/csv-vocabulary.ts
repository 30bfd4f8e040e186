/** The words that programs use in the first line of a CSV file, after `headerWords` made them plain. Add a language here. */

export type NameField = 'name' | 'firstName' | 'middleName' | 'lastName' | 'namePrefix' | 'nameSuffix' | 'company'

const words = (text: string) => text.split(', ')
const lookup = <Value>(entries: [Value, string][]): Map<string, Value> =>
  new Map(entries.flatMap(([value, text]) => words(text).map((word): [string, Value] => [word, value])))

/** Whole headers. English, German, French, Spanish, Italian, Portuguese, Dutch. */
export const nameFields = lookup<NameField>([
  [
    'name',
    'name, full name, display name, fn, contact name, naam, nome, nombre, nom, nom complet, vollstandiger name, nombre completo, nome completo',
  ],
  [
    'firstName',
    'first name, firstname, first, fname, given name, givenname, forename, vorname, prenom, primer nombre, nome proprio, voornaam',
  ],
  ['middleName', 'middle name, middlename, middle, additional name, weitere vornamen, zweiter vorname, deuxieme prenom, segundo nombre'],
  [
    'lastName',
    'last name, lastname, last, lname, family name, familyname, surname, nachname, familienname, nom de famille, apellido, apellidos, cognome, sobrenome, achternaam',
  ],
  ['namePrefix', 'name prefix'],
  ['nameSuffix', 'name suffix, suffix, suffixe, sufijo'],
  [
    'company',
    'company, company name, companyname, organization, organisation, organization name, organisation name, account name, employer, associated company, firma, firmenname, unternehmen, organisationsname, societe, entreprise, empresa, compania, organizacion, azienda, societa, organizzazione, organizacao, bedrijf',
  ],
])

/** What a header is about; the word itself may already be a label ("Mobile", "Fax"). */
export const kinds = lookup<'email' | 'phone' | 'url'>([
  ['email', 'email, emails, mail, courriel, messagerie, correo, mailadresse, emailadresse'],
  [
    'phone',
    'phone, phones, telephone, tel, telefon, telefono, telefone, telefoon, telefonnummer, rufnummer, mobile, mobil, mobiltelefon, mobilnummer, mobiltelefonnummer, handy, handynummer, cell, cellphone, cellular, celular, cellulare, movil, portable, fax, telefax, faxnummer, telecopie, pager',
  ],
  ['url', 'website, websites, webpage, web, site, url, homepage, webseite, internetseite'],
])

/** Networks, by the word that names them. */
export const networks = new Map(
  words('linkedin, twitter, facebook, instagram, github, xing, skype, youtube, tiktok, mastodon, threads, bluesky, whatsapp, telegram').map(
    (word) => [word, word],
  ),
)

export const labels = lookup<string>([
  [
    'work',
    'work, business, office, company, professional, professionnel, professionnelle, bureau, geschaftlich, dienstlich, arbeit, trabajo, trabalho, lavoro, ufficio, werk',
  ],
  ['home', 'home, private, personal, privat, domicile, particular, casa, prive'],
  [
    'cell',
    'mobile, mobil, mobiltelefon, mobilnummer, mobiltelefonnummer, handy, handynummer, cell, cellphone, cellular, celular, cellulare, movil, portable',
  ],
  ['other', 'other, additional, secondary, alternate, alternative, autre, andere, anderes, weitere, weiteres, otro, otra, altro, outro'],
  ['main', 'main, primary, principal, haupt'],
  ['fax', 'fax, telefax, faxnummer, telecopie'],
  ['pager', 'pager'],
  ['assistant', 'assistant, assistants'],
  ['car', 'car'],
  ['radio', 'radio'],
  ['callback', 'callback'],
  ['isdn', 'isdn'],
  ['telex', 'telex'],
  ['tty', 'tty'],
  ['mailing', 'mailing, postal'],
  ['billing', 'billing'],
  ['shipping', 'shipping, delivery'],
])

/** Words that say nothing beside one that says what the column is. */
export const fillers = new Set(
  words(
    'address, addresses, adresse, adresses, direccion, indirizzo, endereco, number, numbers, nummer, numero, no, nr, value, page, link, profile, profil, handle, username, bio, tdd, s, de, du, des, del, della, da, di, do, d, le, la, the, electronico, electronica, eletronico, pagina',
  ),
)

export type AddressPart = 'formatted' | 'street' | 'poBox' | 'city' | 'region' | 'postalCode' | 'country'

/** Whole phrases, the longest first, so that "street address" is no "address". */
export const addressParts = [
  ...lookup<AddressPart>([
    ['formatted', 'formatted address, full address, complete address, address formatted'],
    [
      'street',
      'street address, address line, address street, address extended address, street, strasse, rue, calle, via, rua, straat, address, adresse, direccion, indirizzo, endereco',
    ],
    ['poBox', 'address po box, po box, postfach, boite postale'],
    ['city', 'address city, city, town, ort, stadt, ville, localite, ciudad, citta, cidade, plaats'],
    ['region', 'address region, state region, state province, state, region, province, county, bundesland, departement, provincia, estado'],
    [
      'postalCode',
      'address postal code, postal code, zip postal code, zip code, zipcode, zip, postcode, postalcode, plz, postleitzahl, code postal, codigo postal, cap',
    ],
    ['country', 'address country, country region, country, land region, land, pays region, pays, pais region, pais, paese'],
  ]),
].sort(([a], [b]) => b.length - a.length)
