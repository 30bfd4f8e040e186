import t from 'tap'
import { MAX_CONTACT_CHARACTERS } from '../../src/import/contact-input.ts'
import { contactsOf, faultsOf, rowsOf } from './read.ts'

const card = (version: string, ...lines: string[]) => ['BEGIN:VCARD', `VERSION:${version}`, ...lines, 'END:VCARD', ''].join('\r\n')
const one = async (version: string, ...lines: string[]) => (await contactsOf(card(version, ...lines)))[0]

t.test('vCard 2.1: types without a name, quoted-printable with soft breaks, and a charset', async (t) => {
  const text = card(
    '2.1',
    'N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Gro=C3=9F;K=C3=A4the;;;',
    'FN;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:K=E4the =',
    'Gro=DF',
    'ORG;QUOTED-PRINTABLE;CHARSET=UTF-8:Gro=C3=9F =26 S=C3=B6h=',
    'ne;Einkauf',
    'TEL;WORK;VOICE:0221 1',
    'TEL;CELL;PREF:0170 2',
    'TEL;HOME;FAX:0221 3',
    'EMAIL;PREF;INTERNET:k@example.de',
    'ADR;WORK;ENCODING=QUOTED-PRINTABLE:;;Weg 1=0D=0AHinterhaus;K=C3=B6ln;;50667;Deutschland',
    'URL:http://gross.example/a:b',
    'PHOTO;ENCODING=BASE64;JPEG:/9j/4AAQ',
    '/9j/4AAQSkZJRg==',
    '',
    'X-ICQ:12345',
  )
  for (const pieceBytes of [1, 2, 5, 10_000]) {
    t.same(await contactsOf(text, {}, pieceBytes), [
      {
        name: 'Käthe Groß',
        company: 'Groß & Söhne',
        methods: [
          { type: 'phone', value: '0221 1', label: 'work' },
          { type: 'phone', value: '0170 2', label: 'cell' },
          { type: 'phone', value: '0221 3', label: 'home fax' },
          { type: 'email', value: 'k@example.de' },
          { type: 'address', value: 'Weg 1, Hinterhaus, Köln, 50667, Deutschland', label: 'work' },
          { type: 'url', value: 'http://gross.example/a:b' },
          { type: 'social', value: '12345', label: 'icq' },
        ],
      },
    ])
  }
})

t.test('vCard 2.1: a folded line keeps its space, and quoted-printable without a charset is UTF-8 or Windows-1252', async (t) => {
  t.match(await one('2.1', 'FN:Mae', ' Carol'), { name: 'Mae Carol' })
  t.match(await one('2.1', 'FN;QUOTED-PRINTABLE:Zo=C3=AB'), { name: 'Zoë' })
  t.match(await one('2.1', 'FN;QUOTED-PRINTABLE:Zo=EB =80'), { name: 'Zoë €' })
  t.match(await one('2.1', 'FN;QUOTED-PRINTABLE;CHARSET=SHIFT_JIS:=83=65=83=58=83=67'), { name: 'テスト' })
})

t.test('vCard 3.0: groups with labels, escapes, folding, and several types', async (t) => {
  const contact = await one(
    '3.0',
    'PRODID:-//Example//EN',
    'n:Carol;Mae;Ann,Lee;Dr.;Jr.',
    'FN:Dr. Mae C',
    ' arol\\, Jr.',
    'NICKNAME:Mimi,Mac',
    'ORG:Sky\\; Sea & Co;Lift',
    'item1.EMAIL;type=INTERNET;type=pref:mae@example.com',
    'item1.X-ABLabel:_$!<Work>!$_',
    'item2.TEL:555-0100',
    'item2.X-ABLabel:Boat phone',
    'TEL;TYPE="fax,work":555-0101',
    'TEL;TYPE=IPHONE,CELL,VOICE:555-0102',
    'item3.ADR;type=HOME;type=pref:;;1 Pier\\nHall 2;Newport;VA;23601;USA',
    'item3.X-ABADR:us',
    'item4.URL;type=pref:http\\://mae.example',
    'X-SOCIALPROFILE;type=twitter:http://twitter.com/mae_example',
    'IMPP;X-SERVICE-TYPE=Skype;type=HOME:skype:mae.example',
    'NOTE:never\\nmind',
  )
  t.same(contact, {
    name: 'Dr. Mae Carol, Jr.',
    company: 'Sky; Sea & Co',
    methods: [
      { type: 'other', value: 'Mimi, Mac', label: 'nickname' },
      { type: 'email', value: 'mae@example.com', label: 'work' },
      { type: 'phone', value: '555-0100', label: 'Boat phone' },
      { type: 'phone', value: '555-0101', label: 'work fax' },
      { type: 'phone', value: '555-0102', label: 'iphone cell' },
      { type: 'address', value: '1 Pier, Hall 2, Newport, VA, 23601, USA', label: 'home' },
      { type: 'url', value: 'http://mae.example' },
      { type: 'social', value: 'http://twitter.com/mae_example', label: 'twitter' },
      { type: 'social', value: 'mae.example', label: 'skype' },
    ],
  })
})

t.test('vCard 4.0: telephone addresses, quoted parameters with colons, lists', async (t) => {
  const contact = await one(
    '4.0',
    'FN:Joan Clarke',
    'N:Clarke;Joan;;;',
    'ORG;SORT-AS="Hut: 8":Hut 8',
    'TEL;VALUE=uri;TYPE="work,voice";PREF=1:tel:+44-20-7946-0002;ext=102',
    'EMAIL;TYPE=home;ALTID="a:b;c":joan@example.com',
    'ADR;TYPE=work;LABEL="Mr: Joan\\n1 Park":;;1 Park;Bletchley;;MK3;UK',
    'IMPP:xmpp:joan@chat.example',
    'SOCIALPROFILE;SERVICE-TYPE=Mastodon:https://social.example/@joan',
    'RELATED;TYPE=friend:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
  )
  t.same(contact, {
    name: 'Joan Clarke',
    company: 'Hut 8',
    methods: [
      { type: 'phone', value: '+44-20-7946-0002 ext. 102', label: 'work' },
      { type: 'email', value: 'joan@example.com', label: 'home' },
      { type: 'address', value: '1 Park, Bletchley, MK3, UK', label: 'work' },
      { type: 'social', value: 'joan@chat.example', label: 'xmpp' },
      { type: 'social', value: 'https://social.example/@joan', label: 'mastodon' },
    ],
  })
})

t.test('the name comes from FN, else N, else the company, e-mail address or phone number', async (t) => {
  t.match(await one('3.0', 'N:Carol;Mae;Ann;Dr.;', 'FN:'), { name: 'Dr. Mae Ann Carol' })
  t.match(await one('3.0', 'N:;;;;', 'ORG:Sky', 'EMAIL:a@example.com'), { name: 'Sky', company: 'Sky' })
  t.match(await one('2.1', 'EMAIL:a@example.com', 'TEL:555'), { name: 'a@example.com' })
  t.match(await one('4.0', 'TEL:555'), { name: '555' })
})

t.test('cards of all versions may stand in one file, with or without lines between them', async (t) => {
  const text = `\r\n${card('2.1', 'N:Carol;Mae')}\r\n\r\n${card('3.0', 'FN:Joan')}${card('4.0', 'FN:Ida')}`
  t.same(
    (await contactsOf(text)).map(({ name }) => name),
    ['Mae Carol', 'Joan', 'Ida'],
  )
  t.same(
    (await rowsOf(text)).map(({ line }) => line),
    [2, 8, 12],
  )
  for (const end of ['\n', '\r']) t.equal((await contactsOf(text.replaceAll('\r\n', end), {}, 3)).length, 3)
})

t.test('a card inside a card (AGENT) is not the contact, and does not end it', async (t) => {
  const agent = card('2.1', 'FN:Agent', 'EMAIL:agent@example.com').trimEnd()
  t.same(await one('2.1', 'FN:Mae', 'AGENT:', ...agent.split('\r\n'), 'EMAIL:mae@example.com'), {
    name: 'Mae',
    methods: [{ type: 'email', value: 'mae@example.com' }],
  })
  t.same(await one('3.0', 'FN:Mae', 'AGENT:BEGIN:VCARD\\nFN:Agent\\nEND:VCARD\\n', 'TEL:555'), {
    name: 'Mae',
    methods: [{ type: 'phone', value: '555' }],
  })
})

t.test('a card without an end, an empty one, a group, and text outside are faults, and the others are read', async (t) => {
  const text = `${card('3.0', 'FN:Mae')}BEGIN:VCARD\r\nFN:Lost\r\n${card('3.0', 'NOTE:x')}${card('4.0', 'KIND:group', 'FN:Friends')}stray\r\nmore\r\n${card('3.0', 'FN:Joan')}BEGIN:VCARD\r\nFN:Late\r\n`
  const rows = await rowsOf(text)
  t.match(faultsOf(rows), [
    [5, 'The card that begins here has no END:VCARD.'],
    [7, /no name/],
    [11, /group/],
    [16, /in no card/],
    [22, /no END:VCARD/],
  ])
  t.same(
    rows.flatMap((row) => ('input' in row ? [row.input.name] : [])),
    ['Mae', 'Joan'],
  )
})

t.test('pictures of any size are passed over, in one line or folded', async (t) => {
  const large = 'A'.repeat(3 * MAX_CONTACT_CHARACTERS)
  const folded = large.replace(/.{70}/g, '$&\r\n ')
  const rows = await rowsOf(
    card('3.0', 'FN:Mae', `PHOTO;ENCODING=b;TYPE=JPEG:${large}`, `item1.LOGO;ENCODING=b:${folded}`, 'TEL:555') + card('4.0', 'FN:Joan'),
  )
  t.match(rows, [{ input: { name: 'Mae', methods: [{ value: '555' }] } }, { input: { name: 'Joan' } }])
  t.ok(rows[0] && rows[0].raw.length < 200)
})

t.test('a card of more than 1 MiB without its pictures is one fault, and the rest goes on', async (t) => {
  const large = 'A'.repeat(MAX_CONTACT_CHARACTERS)
  for (const lines of [[`NOTE:${large}`], Array.from({ length: 20_000 }, () => `NOTE:${'A'.repeat(80)}`)]) {
    const rows = await rowsOf(card('3.0', 'FN:Mae', ...lines) + card('3.0', 'FN:Joan'))
    t.match(rows, [{ line: 1, fault: /larger than 1 MiB/ }, { input: { name: 'Joan' } }])
  }
})
