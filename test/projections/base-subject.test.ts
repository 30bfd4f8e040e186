import t from 'tap'
import { baseSubject } from '../../projections/base-subject.ts'

t.test('marks of replies, forwards and lists are taken away, whatever the language, and replies are told', async (t) => {
  for (const [subject, base, isReply] of [
    ['Plans', 'plans', false],
    [' re:  Plans\t now ', 'plans now', true],
    ['RE: Re: FW: Plans', 'plans', true],
    ['Fwd: Plans', 'plans', false],
    ['Fwd: Re: Plans (fwd) (fwd)', 'plans', true],
    ['AW: WG: Pläne', 'pläne', true],
    ['Antw: SV: Odp: x', 'x', true],
    ['回复：计划', '计划', true],
    ['Re[2]: Plans', 'plans', true],
    ['Re (3): Plans', 'plans', true],
    ['[list] Re: [list] Plans', 'plans', true],
    ['Re: [list]', '[list]', true],
    ['[Fwd: Plans]', 'plans', false],
    ['[fwd: Re: Plans]', 'plans', true],
    ['Re:', '', true],
    ['', '', false],
    ['Result: good', 'result: good', false],
    ['Reply: x', 'reply: x', false],
    ['Redo: x', 'redo: x', false],
  ] as const) {
    t.same(baseSubject(subject), { base, isReply }, subject)
  }
})

t.test('a subject of nothing but marks takes no time', async (t) => {
  t.same(baseSubject('re:[x] '.repeat(100_000)).isReply, true)
  t.same(baseSubject(`${'['.repeat(100_000)}`).isReply, false)
})
