import t, { type Test } from 'tap'
import { parseMap } from '../../src/import/csv-columns.ts'
import { contactsOf, rowsOf } from './read.ts'

/** A CSV text of one row, from column to cell. */
const csv = (cells: Record<string, string>, separator = ',') =>
  [Object.keys(cells), Object.values(cells)].map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(separator)).join('\r\n')

const reads = (cells: Record<string, string>, expected: object, separator?: string) => async (t: Test) => {
  t.same(await contactsOf(csv(cells, separator)), [expected])
}

t.test(
  'Google, old export: several values in a cell, labels in a column beside',
  reads(
    {
      Name: 'Ada Byron',
      'Given Name': 'Ada',
      'Additional Name': '',
      'Family Name': 'Byron',
      'Yomi Name': '',
      Birthday: '1815-12-10',
      'Group Membership': '* myContacts',
      'E-mail 1 - Type': '* Work',
      'E-mail 1 - Value': 'ada@example.com ::: ada.byron@example.com',
      'E-mail 2 - Type': 'Home',
      'E-mail 2 - Value': 'a@home.example',
      'IM 1 - Type': 'Other',
      'IM 1 - Service': 'Skype',
      'IM 1 - Value': 'ada.b',
      'Phone 1 - Type': 'Mobile',
      'Phone 1 - Value': '+44 20 7946 0001',
      'Address 1 - Type': 'Home',
      'Address 1 - Formatted': '1 Square\nLondon',
      'Address 1 - Street': '1 Square',
      'Address 1 - City': 'London',
      'Organization 1 - Type': '',
      'Organization 1 - Name': 'Engines Ltd',
      'Organization 1 - Title': 'Countess',
      'Website 1 - Type': 'Blog',
      'Website 1 - Value': 'https://ada.example',
      'Relation 1 - Type': 'Father',
      'Relation 1 - Value': 'George',
    },
    {
      name: 'Ada Byron',
      company: 'Engines Ltd',
      methods: [
        { type: 'email', value: 'ada@example.com', label: 'work' },
        { type: 'email', value: 'ada.byron@example.com', label: 'work' },
        { type: 'email', value: 'a@home.example', label: 'home' },
        { type: 'social', value: 'ada.b', label: 'Skype' },
        { type: 'phone', value: '+44 20 7946 0001', label: 'cell' },
        { type: 'url', value: 'https://ada.example', label: 'Blog' },
        { type: 'address', value: '1 Square, London', label: 'home' },
      ],
    },
  ),
)

t.test(
  'Google, new export: no full name',
  reads(
    {
      'First Name': 'Grace',
      'Middle Name': 'B.',
      'Last Name': 'Murray',
      'Phonetic First Name': '',
      'Name Prefix': 'Dr.',
      'Name Suffix': '',
      Nickname: '',
      'File As': '',
      'Organization Name': 'Navy',
      'Organization Title': 'Admiral',
      Labels: '* myContacts',
      'E-mail 1 - Label': '* ',
      'E-mail 1 - Value': 'grace@example.com',
      'Phone 1 - Label': 'Work Fax',
      'Phone 1 - Value': '555-0100',
      'Address 1 - Label': 'Work',
      'Address 1 - Formatted': '',
      'Address 1 - Street': '1 Pier',
      'Address 1 - City': 'Arlington',
      'Address 1 - PO Box': '',
      'Address 1 - Region': 'VA',
      'Address 1 - Postal Code': '22201',
      'Address 1 - Country': 'US',
      'Address 1 - Extended Address': '',
      'Custom Field 1 - Label': 'Cat',
      'Custom Field 1 - Value': 'Tom',
    },
    {
      name: 'Dr. Grace B. Murray',
      company: 'Navy',
      methods: [
        { type: 'email', value: 'grace@example.com' },
        { type: 'phone', value: '555-0100', label: 'work fax' },
        { type: 'address', value: '1 Pier, Arlington, VA, 22201, US', label: 'work' },
      ],
    },
  ),
)

t.test(
  'Outlook in English',
  reads(
    {
      Title: 'Ms.',
      'First Name': 'Mary',
      'Middle Name': '',
      'Last Name': 'Jackson',
      Suffix: 'Jr.',
      Company: 'Langley',
      Department: 'Wind',
      'Job Title': 'Engineer',
      'Business Street': '1 Tunnel Rd',
      'Business Street 2': 'Hall 4',
      'Business City': 'Hampton',
      'Business State': 'VA',
      'Business Postal Code': '23681',
      'Business Country/Region': 'USA',
      'Home Street': '',
      'Home City': 'Newport',
      "Assistant's Phone": '555-0101',
      'Business Fax': '555-0102',
      'Business Phone': '555-0103',
      'Business Phone 2': '555-0104',
      'Company Main Phone': '555-0105',
      'Home Phone': '555-0106',
      'Mobile Phone': '555-0107',
      Pager: '555-0108',
      'Primary Phone': '',
      'TTY/TDD Phone': '',
      Account: 'x',
      'E-mail Address': 'mary@example.com',
      'E-mail Type': 'SMTP',
      'E-mail Display Name': 'Mary (mary@example.com)',
      'E-mail 2 Address': 'mj@example.com',
      'E-mail 2 Type': 'SMTP',
      'E-mail 2 Display Name': 'MJ',
      Location: 'x',
      'Office Location': 'x',
      "Manager's Name": 'x',
      'Web Page': 'https://mary.example',
    },
    {
      name: 'Mary Jackson Jr.',
      company: 'Langley',
      methods: [
        { type: 'phone', value: '555-0101', label: 'assistant' },
        { type: 'phone', value: '555-0102', label: 'work fax' },
        { type: 'phone', value: '555-0103', label: 'work' },
        { type: 'phone', value: '555-0104', label: 'work' },
        { type: 'phone', value: '555-0105', label: 'work main' },
        { type: 'phone', value: '555-0106', label: 'home' },
        { type: 'phone', value: '555-0107', label: 'cell' },
        { type: 'phone', value: '555-0108', label: 'pager' },
        { type: 'email', value: 'mary@example.com' },
        { type: 'email', value: 'mj@example.com' },
        { type: 'url', value: 'https://mary.example' },
        { type: 'address', value: '1 Tunnel Rd, Hall 4, Hampton, VA, 23681, USA', label: 'work' },
        { type: 'address', value: 'Newport', label: 'home' },
      ],
    },
  ),
)

t.test(
  'Outlook in German',
  reads(
    {
      Anrede: 'Frau',
      Vorname: 'Käthe',
      Nachname: 'Groß',
      Firma: 'Groß & Söhne',
      Position: 'Chefin',
      'Straße geschäftlich': 'Weg 1',
      'Ort geschäftlich': 'Köln',
      'Postleitzahl geschäftlich': '50667',
      'Land/Region geschäftlich': 'Deutschland',
      'Fax geschäftlich': '0221 1',
      'Telefon geschäftlich': '0221 2',
      'Telefon (privat)': '0221 3',
      Mobiltelefon: '0170 4',
      'E-Mail-Adresse': 'k@example.de',
      'E-Mail 2: Adresse': 'k2@example.de',
      Webseite: 'gross.example',
    },
    {
      name: 'Käthe Groß',
      company: 'Groß & Söhne',
      methods: [
        { type: 'phone', value: '0221 1', label: 'work fax' },
        { type: 'phone', value: '0221 2', label: 'work' },
        { type: 'phone', value: '0221 3', label: 'home' },
        { type: 'phone', value: '0170 4', label: 'cell' },
        { type: 'email', value: 'k@example.de' },
        { type: 'email', value: 'k2@example.de' },
        { type: 'url', value: 'gross.example' },
        { type: 'address', value: 'Weg 1, Köln, 50667, Deutschland', label: 'work' },
      ],
    },
    ';',
  ),
)

t.test(
  'Outlook in French: "Nom" beside "Prénom" is the family name',
  reads(
    {
      Prénom: 'Zoé',
      Nom: 'Martin',
      Société: 'Chaux',
      'Adresse de messagerie': 'z@example.fr',
      'Téléphone (bureau)': '01 1',
      'Téléphone (domicile)': '01 2',
      'Tél. mobile': '06 3',
      'Rue (bureau)': '1 rue X',
      'Ville (bureau)': 'Lyon',
    },
    {
      name: 'Zoé Martin',
      company: 'Chaux',
      methods: [
        { type: 'email', value: 'z@example.fr' },
        { type: 'phone', value: '01 1', label: 'work' },
        { type: 'phone', value: '01 2', label: 'home' },
        { type: 'phone', value: '06 3', label: 'cell' },
        { type: 'address', value: '1 rue X, Lyon', label: 'work' },
      ],
    },
    ';',
  ),
)

t.test(
  'Outlook in Spanish: "Nombre" beside "Apellidos" is the first name',
  reads(
    {
      Nombre: 'Íñigo',
      Apellidos: 'de la Peña',
      Organización: 'Ría',
      'Dirección de correo electrónico': 'i@example.es',
      'Teléfono del trabajo': '91 1',
      'Particular: teléfono': '91 2',
      Móvil: '6 3',
    },
    {
      name: 'Íñigo de la Peña',
      company: 'Ría',
      methods: [
        { type: 'email', value: 'i@example.es' },
        { type: 'phone', value: '91 1', label: 'work' },
        { type: 'phone', value: '91 2', label: 'home' },
        { type: 'phone', value: '6 3', label: 'cell' },
      ],
    },
    ';',
  ),
)

t.test('LinkedIn: its notes stand before the header, and lines are counted with them', async (t) => {
  const text =
    'Notes:\n"When exporting your connection data, you may notice that some of the email addresses are missing.\nLearn more, here: https://example.com"\n\n' +
    'First Name,Last Name,URL,Email Address,Company,Position,Connected On\nKatherine,Coleman,https://www.linkedin.com/in/kc-example,,NACA,Computer,01 Jan 2024\n'
  const [row] = await rowsOf(text)
  t.match(row, {
    line: 6,
    input: {
      name: 'Katherine Coleman',
      company: 'NACA',
      methods: [{ type: 'social', value: 'https://www.linkedin.com/in/kc-example', label: 'linkedin' }],
    },
  })
})

t.test(
  'HubSpot',
  reads(
    {
      'Record ID': '51',
      'First Name': 'Joan',
      'Last Name': 'Clarke',
      Email: 'joan@example.com',
      'Additional email addresses': 'jc@example.com;j@example.com',
      'Work email': 'joan@example.com',
      'Email Domain': 'example.com',
      'Phone Number': '555-0109',
      'Mobile Phone Number': '555-0110',
      'Contact owner': 'Somebody Else',
      'Lead Status': 'Open',
      'Associated Company': 'Hut 8',
      'Associated Company IDs': '77',
      'Website URL': 'hut8.example',
      'LinkedIn URL': 'linkedin.com/in/jc-example',
      'Twitter Username': '@jc_example',
      City: 'Bletchley',
      'State/Region': 'Bucks',
      'Create Date': '2024-01-01',
    },
    {
      name: 'Joan Clarke',
      company: 'Hut 8',
      methods: [
        { type: 'email', value: 'joan@example.com', label: 'work' },
        { type: 'email', value: 'jc@example.com', label: 'other' },
        { type: 'email', value: 'j@example.com', label: 'other' },
        { type: 'phone', value: '555-0109' },
        { type: 'phone', value: '555-0110', label: 'cell' },
        { type: 'url', value: 'hut8.example' },
        { type: 'social', value: 'linkedin.com/in/jc-example', label: 'linkedin' },
        { type: 'social', value: '@jc_example', label: 'twitter' },
        { type: 'address', value: 'Bletchley, Bucks' },
      ],
    },
  ),
)

t.test('other CRMs: snake_case, camelCase, and a prefix that says person', async (t) => {
  t.same(
    await contactsOf(
      'id,first_name,last_name,title,status,company_id,company_name,company,email_work,phone_home,linkedin_url\n1,Mae,Carol,Dr,warm,4,Sky,Sky,mae@example.com,555-0111,',
    ),
    [
      {
        name: 'Mae Carol',
        company: 'Sky',
        methods: [
          { type: 'email', value: 'mae@example.com', label: 'work' },
          { type: 'phone', value: '555-0111', label: 'home' },
        ],
      },
    ],
  )
  t.same(await contactsOf('firstName,lastName,emailAddress,accountName\nMae,Carol,mae@example.com,Sky'), [
    { name: 'Mae Carol', company: 'Sky', methods: [{ type: 'email', value: 'mae@example.com' }] },
  ])
  t.same(
    await contactsOf(
      'Person - Name,Person - Email - Work,Person - Phone - Mobile,Organization - Name\nMae Carol,mae@example.com,555-0112,Sky',
    ),
    [
      {
        name: 'Mae Carol',
        company: 'Sky',
        methods: [
          { type: 'email', value: 'mae@example.com', label: 'work' },
          { type: 'phone', value: '555-0112', label: 'cell' },
        ],
      },
    ],
  )
})

t.test('--map says what a column is, over what its name says, and leaves columns out', async (t) => {
  const map = [...parseMap('Wer=name,Post, privat=email:home'), ...parseMap('email=ignore')]
  t.same(await contactsOf('Wer;"Post, privat";Email\nMae;mae@home.example;wrong@example.com', { map }), [
    { name: 'Mae', methods: [{ type: 'email', value: 'mae@home.example', label: 'home' }] },
  ])
})

t.test('--map refuses what is no field, what it does not understand, and a column that is not there', async (t) => {
  t.throws(() => parseMap('Wer=nickname'), { message: /there is no field "nickname".*firstName/ })
  t.throws(() => parseMap('Wer'), { message: /not understood/ })
  t.throws(() => parseMap('Wer=name,Rest'), { message: /not understood/ })
  await t.rejects(rowsOf('Name,Email\nMae,mae@example.com', { map: parseMap('Mail=email') }), {
    message: '--map names "Mail", but its columns are: Name, Email.',
  })
})

t.test('a header that is not understood is one error that names the columns and shows --map', async (t) => {
  await t.rejects(rowsOf('alpha;beta;gamma\n1;2;3\n'), {
    name: 'UnreadableFile',
    message: /columns are: alpha, beta, gamma\. Say .* --map "alpha=name,beta=email"/,
  })
  await t.rejects(rowsOf('Mae,mae@example.com\nJoan,joan@example.com\n'), { message: /--map/ }, 'a file without a header')
  await t.rejects(rowsOf(''), { message: /empty/ })
})

t.test('which columns are used is told', async (t) => {
  let told: unknown
  await rowsOf('Name,Shoe size,Email\nMae,38,mae@example.com', {
    onColumns: (columns) => {
      told = columns
    },
  })
  t.same(told, { used: ['Name', 'Email'], unused: ['Shoe size'] })
})
