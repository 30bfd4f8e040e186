import t from 'tap'
import { spellingsOf, termsOf, wordsOf, wordsOfMethod } from '../../projections/words.ts'

const texts = (words: readonly { word: string }[]) => words.map(({ word }) => word)
const wholes = (words: readonly { word: string; whole: boolean }[]) => texts(words.filter(({ whole }) => whole))
const searched = (text: string) => termsOf(text).map((term) => term.text)

t.test('a name is split into words without punctuation, each once', async (t) => {
  t.same(texts(wordsOf("Jean-Luc O'Brien, Jean")), ['jean', 'luc', 'obrien'])
  t.same(texts(wordsOf('ＡＤＡ')), ['ada'], 'wide letters are letters')
  t.same(wordsOf('—'), [])
})

t.test('where a script writes no spaces, a word may begin at every letter', async (t) => {
  t.same(texts(wordsOf('田中太郎')), ['田中太郎', '中太郎', '太郎', '郎'])
  t.same(texts(wordsOf('Иван')), ['иван'])
})

t.test('an e-mail address is found whole and by its parts', async (t) => {
  const words = wordsOfMethod({ type: 'email', value: 'Ada.King@Exämple.com', normalized: 'ada.king@xn--exmple-cua.com' })
  t.same(wholes(words), ['ada.king@exämple.com', 'ada.king@xn--exmple-cua.com'])
  t.same(texts(words.filter(({ whole }) => !whole)), ['ada', 'king', 'exämple', 'com'])
})

t.test('a phone number is found by every spelling and by its digits', async (t) => {
  const words = wordsOfMethod({ type: 'phone', value: '+442079460123', raw: '020 7946 0123' })
  t.same(texts(words), ['+442079460123', '020 7946 0123', '442079460123', '02079460123'])
  t.same(wholes(words), texts(words))
})

t.test('an empty phone number has no digits to be found by', async (t) => {
  t.same(texts(wordsOfMethod({ type: 'phone', value: 'ask' })), ['ask'])
})

t.test('long texts are cut where an index could not hold them', async (t) => {
  const [word] = texts(wordsOf('𐐷'.repeat(1_000)))
  t.ok(Buffer.byteLength(word!) < 2_000)
  t.ok(wordsOf(Array.from({ length: 1_000 }, (_, n) => `w${n}`).join(' ')).length <= 100)
})

t.test('the method filter knows an address in any case and a number in any punctuation', async (t) => {
  t.same(spellingsOf(' Ada@Exämple.com '), ['ada@exämple.com', 'ada@xn--exmple-cua.com'])
  t.same(spellingsOf(' 44 20 7946-0123'), ['44 20 7946-0123', '442079460123'], 'also where a query string made a plus a space')
  t.same(spellingsOf('https://ada.example'), ['https://ada.example'])
})

t.test('a search text is split like what it looks for', async (t) => {
  t.same(searched("O'Brien Jean-Luc"), ['obrien', 'jean', 'luc'])
  t.same(searched('ada@exam'), ['ada@exam'])
  t.same(searched('@ada'), ['ada'])
  t.same(termsOf('ada@exam'), [{ text: 'ada@exam', inside: true, like: 'ada' }], 'typos are looked for before the @')
  t.same(searched('?!'), [])
  t.equal(searched('a b c d e f g h i j').length, 8)
})

t.test('a phone number is one term, without the zeros that only count within a country', async (t) => {
  t.same(termsOf('020 7946-0123'), [{ text: '2079460123', inside: true, like: null }])
  t.same(termsOf('+44 (20) 7946'), [{ text: '44207946', inside: true, like: null }])
  t.same(searched('54'), ['54'])
})

t.test('a term below three characters is only a beginning', async (t) => {
  t.same(termsOf('jo'), [{ text: 'jo', inside: false, like: null }])
  t.same(termsOf('jos'), [{ text: 'jos', inside: true, like: 'jos' }])
})
