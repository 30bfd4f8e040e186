import t from 'tap'
import { MAX_CONTACT_CHARACTERS } from '../../src/import/contact-input.ts'
import { contactsOf, faultsOf, rowsOf } from './read.ts'

const header = 'Name,Email,Company\n'
const mae = { name: 'Mae', company: 'Sky', methods: [{ type: 'email', value: 'mae@example.com' }] }

t.test('comma, semicolon, tab, bar and a line that names the separator are understood', async (t) => {
  for (const separator of [',', ';', '\t', '|']) {
    const text = ['Name', 'Email', 'Company\nMae', 'mae@example.com', 'Sky\n'].join(separator)
    t.same(await contactsOf(text), [mae], JSON.stringify(separator))
    t.same(await contactsOf(`sep=${separator}\r\n${text}`), [mae], `sep=${JSON.stringify(separator)}`)
  }
})

t.test('line breaks of every kind end a row, and inside quotes belong to the cell', async (t) => {
  for (const end of ['\n', '\r\n', '\r']) {
    const text = `Name,Street,Email${end}"Mae ""M"" C","1 Pier${end}Hall, 2",mae@example.com${end}${end}Joan,"",joan@example.com`
    const expected = [
      {
        name: 'Mae "M" C',
        methods: [
          { type: 'email', value: 'mae@example.com' },
          { type: 'address', value: '1 Pier, Hall, 2' },
        ],
      },
      { name: 'Joan', methods: [{ type: 'email', value: 'joan@example.com' }] },
    ]
    for (const pieceBytes of [1, 2, 3, 7, 1000]) t.same(await contactsOf(text, {}, pieceBytes), expected, JSON.stringify([end, pieceBytes]))
  }
})

t.test('a row says the line in which it begins', async (t) => {
  const rows = await rowsOf(`${header}Mae,m@example.com,"Sky\n\nLtd"\r\n\r\nJoan,j@example.com,\n`)
  t.same(
    rows.map(({ line }) => line),
    [2, 6],
  )
  t.equal(rows[0]?.raw, 'Mae,m@example.com,"Sky\n\nLtd"')
})

t.test('a row with too many or too few cells is a fault, and the others are read', async (t) => {
  const rows = await rowsOf(
    `${header}Mae,mae@example.com,Sky\nJoan, Jr.,joan@example.com,Hut\nKay,kay@example.com\nMae,mae@example.com,Sky,,\n`,
  )
  t.same(faultsOf(rows), [
    [3, 'The row has 4 cells, but the header has 3 columns.'],
    [4, 'The row has 2 cells, but the header has 3 columns.'],
  ])
  t.equal(rows.length, 4, 'empty cells at the end do no harm')
  t.equal(rows[1]?.raw, 'Joan, Jr.,joan@example.com,Hut')
})

t.test('columns without a name at the end may be left out, and may hold anything', async (t) => {
  t.same(await contactsOf('Name,Email,Company,,\nMae,mae@example.com,Sky\nMae,mae@example.com,Sky,note,\n'), [mae, mae])
})

t.test('a row with nothing in it is a fault with its reason', async (t) => {
  t.match(faultsOf(await rowsOf(`${header},,\nMae,mae@example.com,Sky`)), [[2, /no name, company, e-mail address/]])
})

t.test('a quote that is opened by mistake costs its own line only', async (t) => {
  const rows = await rowsOf(`${header}"Mae,a@example.com,Sky\nJoan,j@example.com,\n"Kay ""K""",k@example.com,"A, B"\nIda,i@example.com,\n`)
  t.same(faultsOf(rows), [[2, 'A quote is opened in this line and not closed before the next one.']])
  t.same(
    rows.flatMap((row) => ('input' in row ? [row.input.name] : [])),
    ['Joan', 'Kay "K"', 'Ida'],
  )
  const atEnd = await rowsOf(`${header}Mae,a@example.com,Sky\n"Joan,j@example.com,\nIda,i@example.com,\n`)
  t.same(faultsOf(atEnd), [[3, 'A quote is opened in this line and never closed.']])
  t.equal(atEnd.length, 3)
})

t.test('quotes inside a cell are read as they stand', async (t) => {
  t.same(
    (await contactsOf('Name,Email\nMae "M" C,a@example.com\n"Joan "J" C",b@example.com\n')).map(({ name }) => name),
    ['Mae "M" C', '"Joan "J" C"'],
  )
})

t.test('a row of more than 1 MiB is one fault, and the rest goes on', async (t) => {
  const long = 'x'.repeat(MAX_CONTACT_CHARACTERS * 3)
  for (const [what, text] of [
    ['line', long],
    ['quote', `"${`${'x'.repeat(999)}\n`.repeat(2000)}`],
    ['long line in a quote', `"${long}`],
  ] as const) {
    const rows = await rowsOf(`${header}Mae,mae@example.com,Sky\n${text},a@example.com,\nJoan,j@example.com,\n`)
    t.equal(faultsOf(rows)[0]?.[0], 3, what)
    t.ok(
      rows.every(({ raw }) => raw.length < 70_000),
      'what is shown of it is bounded',
    )
    const last = rows.at(-1)
    t.match(last, { input: { name: 'Joan' } }, `${what}: the row after it`)
  }
})

t.test('a name is taken from the company, the address or the phone number where there is none', async (t) => {
  t.same(
    (await contactsOf('Name,Email,Phone,Company\n,a@example.com,1,Sky\n,a@example.com,1,\n,,555,\n')).map(({ name }) => name),
    ['Sky', 'a@example.com', '555'],
  )
})

t.test('a value written twice is one method, with the label of either', async (t) => {
  t.same(await contactsOf('Name,Email,Work Email,Phone,Mobile\nMae,mae@example.com,MAE@example.com,555-0100,(555) 0100\n'), [
    {
      name: 'Mae',
      methods: [
        { type: 'email', value: 'mae@example.com', label: 'work' },
        { type: 'phone', value: '555-0100', label: 'cell' },
      ],
    },
  ])
})

t.test('what stands in an e-mail column and is none is kept as another method', async (t) => {
  t.same(await contactsOf('Name,Email\nMae,none\nJoan,Joan <joan@example.com>\n'), [
    { name: 'Mae', methods: [{ type: 'other', value: 'none', label: 'email' }] },
    { name: 'Joan', methods: [{ type: 'email', value: 'joan@example.com' }] },
  ])
})

t.test('without an e-mail address the id follows from the content, not from its spelling in the file', async (t) => {
  const id = async (text: string) => {
    const [row] = await rowsOf(text)
    return row && 'input' in row ? row.input.id : undefined
  }
  const known = await id('Name,Phone,Mobile\nMae Carol,555-0100,555-0101\n')
  t.match(known, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.equal(await id('Mobile;Home Phone;First Name;Last Name\n(555) 0101;555 0100;Mae;Carol\n'), known)
  t.not(await id('Name,Phone,Mobile\nMae Carol,555-0100,555-0102\n'), known)
  t.not(await id('Name,Phone,Mobile\nMae Karol,555-0100,555-0101\n'), known)
  t.equal(await id('Name,Email\nMae Carol,mae@example.com\n'), undefined)
})
