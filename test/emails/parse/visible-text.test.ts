import EmailReplyParser from 'email-reply-parser'
import fc from 'fast-check'
import t from 'tap'
import { visibleText } from '../../../src/emails/parse/visible-text.ts'
import { madeUpMail } from '../../support/made-up-mail.ts'

const byTheLibrary = (text: string) => new EmailReplyParser().parseReply(text)

const line = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '--',
    '-- ',
    '__',
    '________________________________',
    '++',
    '===',
    '~~~',
    '>',
    '>> twice',
    '> once ',
    'a > b',
    '\t> late',
  ),
  fc.constantFrom(
    'On Fri, 1 Jan 2021 Ada wrote:',
    'On Fri, 1 Jan 2021 Ada <ada@people.example>',
    'wrote:',
    '---- On 1 May 2020 X wrote ----',
  ),
  fc.constantFrom(
    'Am 1. Mai 2020 um 10:00 schrieb Ada <a@b.example>:',
    'Le 1 mai 2020 Ada a écrit :',
    'Den 1. maj 2020 kl. 10 skrev Ada:',
    '在 2020 写道：',
  ),
  fc.constantFrom(
    'From: Ada <ada@people.example>',
    'Von: Ada',
    '<ada@people.example>',
    'W dniu 1 maja Ada napisał(a):',
    'Op 1 mei',
    'schreef Ada:',
  ),
  fc.constantFrom(
    '-----Original Message-----',
    'ORIGINAL MESSAGE',
    '10:00, 1 May 2020 "Ada" <a@b.example>:',
    '2020-05-01 10:00 Ada <a@b.example>:',
  ),
  fc.constantFrom(
    'Sent from my phone',
    'sent from my phone',
    'Cheers!',
    'KIND REGARDS,',
    'Best wishes',
    'Bien à vous',
    'Cordialement',
    'In data 1 Ada scritto',
  ),
  fc.constantFrom(
    'Gesendet von X für Y',
    'Von X gesendet',
    'Envoyé de mon X',
    'Get Outlook for X',
    'Bonne soirée!',
    '\uFEFFodd',
    'half \uD83D',
    '\uDE00 half',
  ),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
)
const text = fc.array(line, { maxLength: 14 }).chain((lines) => fc.constantFrom(lines.join('\n'), lines.join('\r\n')))

t.test('it is what the library says by itself', async (t) => {
  fc.assert(
    fc.property(text, (text) => {
      if (visibleText(text) !== byTheLibrary(text))
        throw new Error(JSON.stringify({ ours: visibleText(text), library: byTheLibrary(text) }))
    }),
    { numRuns: 3_000 },
  )
  for (let index = 0; index < 200; index += 1) {
    const raw = madeUpMail(index).raw.toString('latin1')
    if (visibleText(raw) !== byTheLibrary(raw)) t.fail(`otherwise for mail ${index}`)
  }
  t.equal(visibleText('Yes.\n\nOn Fri, 1 Jan 2021 Ada wrote:\n> Really?\n\n-- \nGrace'), 'Yes.\n')
})
