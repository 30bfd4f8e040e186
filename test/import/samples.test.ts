import { existsSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { contactsOf } from './read.ts'

const folder = new URL('../../../shared/data/contacts/', import.meta.url)

const sample = (name: string, title: string, run: (t: Test, content: Buffer) => Promise<void>) => {
  const path = new URL(name, folder)
  t.test(`${name}: ${title}`, { skip: existsSync(path) ? false : `../shared/data/contacts/${name} is not here` }, (t) =>
    run(t, readFileSync(path)),
  )
}

sample('contacts.csv', 'all 500 contacts, with 500 different addresses in the columns in which they stand', async (t, content) => {
  const contacts = await contactsOf(content)
  t.equal(contacts.length, 500)
  const emails = contacts.flatMap(({ methods = [] }) => methods.filter(({ type }) => type === 'email'))
  t.equal(new Set(emails.map(({ value }) => value.toLowerCase())).size, 500)
  t.ok(contacts.every(({ methods = [] }) => methods.some(({ type }) => type === 'email')))
  // Counted with another reader: every value with an @ in the file, which has no other columns that hold one.
  const written = content.toString().match(/[^,\s"]+@[^,\s"]+/g) ?? []
  t.same(
    emails.map(({ value }) => value),
    written,
  )
  t.same([...new Set(emails.map(({ label }) => label))].sort(), ['other'], 'only email_other is filled in this file')
  t.ok(contacts.every(({ name, company }) => / /.test(name) && company))
})

sample('John_Doe_ANDROID.vcf', 'six cards of vCard 2.1', async (t, content) => {
  const contacts = await contactsOf(content)
  t.same(
    contacts.map(({ name }) => name.slice(0, 9)),
    ['john.doe@', 'jane.doe@', 'Ñ Ñ Ñ Ñ Ñ', 'Ñ Ñ Ñ Ñ Ñ', 'Ñ Ñ Ñ Ñ', 'ÑÑÑÑ'],
  )
  t.match(contacts[4]?.methods, [
    { value: '123456', label: 'cell' },
    { value: 'bob@company.com', label: 'work' },
    { type: 'other', label: 'email' },
  ])
})

sample('John_Doe_IPHONE.vcf', 'groups, labels and a picture', async (t, content) => {
  const [contact, ...others] = await contactsOf(content)
  t.same(others, [])
  t.match(contact, { name: 'Mr. John Richter James Doe Sr.', company: 'IBM' })
  t.same(contact?.methods?.map(({ type }) => type).join(' '), 'other email phone phone phone phone phone phone phone address address url')
  t.same(contact?.methods?.at(-1), { type: 'url', value: 'http://www.ibm.com', label: 'homepage' })
})

sample('John_Doe_MS_OUTLOOK.vcf', 'vCard 2.1 with a picture and a design', async (t, content) => {
  t.match(await contactsOf(content), [
    {
      name: 'Mr. John Richter James Doe Sr.',
      methods: [
        {},
        { value: '(905) 555-1234', label: 'work' },
        {},
        { type: 'address' },
        {},
        { type: 'url' },
        { type: 'email' },
        { label: 'im' },
      ],
    },
  ])
})

sample('gmail-single.vcf', 'one card', async (t, content) => {
  t.match(await contactsOf(content), [{ name: 'Greg Dartmouth', company: 'TheCompany' }])
})

sample('rfc6350-example.vcf', 'one card of vCard 4.0', async (t, content) => {
  t.match(await contactsOf(content), [
    {
      company: 'Viagenie',
      methods: [{ value: '2875 Laurier, Suite D2-630, Quebec, QC, G1V 2M2, Canada' }, { value: '+1-418-656-9254 ext. 102' }],
    },
  ])
})

sample('thunderbird-MoreFunctionsForAddressBook-extension.vcf', 'five addresses', async (t, content) => {
  const [contact] = await contactsOf(content)
  t.equal(contact?.methods?.filter(({ type }) => type === 'email').length, 5)
})
