import t, { type Test } from 'tap'
import { keepPaces } from '../../src/mailboxes/paces.ts'
import type { Pace } from '../../src/platform/pace.ts'

const limit = { units: 1_000, windowMs: 60_000 }
const justNow = () => new Date().toISOString()

/** Whether so much may be used at once. */
async function isGiven(pace: Pace, units: number): Promise<boolean> {
  const gone = new AbortController()
  const taken = pace.take(units, gone.signal).then(
    () => true,
    () => false,
  )
  // What is given is given without any timer.
  await new Promise(setImmediate)
  gone.abort(new Error('not wanted'))
  return taken
}

const given = (t: Test, pace: Pace, units: number, message: string) => isGiven(pace, units).then((is) => t.ok(is, message))
const refused = (t: Test, pace: Pace, units: number, message: string) => isGiven(pace, units).then((is) => t.notOk(is, message))

t.test('who had the last turn goes on with what is left of his pace', async (t) => {
  const paces = keepPaces(limit)
  const first = paces.take('m', { standing: '0', recordedAt: undefined })
  await given(t, first, 100, 'a mailbox that nobody was at')
  paces.keep('m', first, '1 1@3')
  const second = paces.take('m', { standing: '1 1@3', recordedAt: justNow() })
  await given(t, second, 100, 'at once, though something was fetched just before')
  await refused(t, second, 200, 'and no more than one pace gives')
  const other = paces.take('other', { standing: '1 1@3', recordedAt: justNow() })
  await refused(t, other, 100, 'another mailbox has a pace of its own')
})

t.test('a turn that failed without recording anything keeps its pace, too', async (t) => {
  const paces = keepPaces(limit)
  await given(t, paces.take('m', { standing: '0', recordedAt: undefined }), 100, 'begins')
  await given(t, paces.take('m', { standing: '0', recordedAt: undefined }), 100, 'goes on')
  await refused(t, paces.take('m', { standing: '0', recordedAt: undefined }), 200, 'with the same')
})

t.test('who finds that somebody else was at the mailbox owes what that one may have used', async (t) => {
  const paces = keepPaces(limit)
  const first = paces.take('m', { standing: '0', recordedAt: undefined })
  paces.keep('m', first, '1 1@3')
  await refused(t, paces.take('m', { standing: '1 1@4', recordedAt: justNow() }), 100, 'another revision')
  await refused(t, paces.take('m', { standing: '2', recordedAt: justNow() }), 100, 'another run')
  const longAgo = new Date(Date.now() - 3 * limit.windowMs).toISOString()
  await given(t, paces.take('m', { standing: '3', recordedAt: longAgo }), 100, 'unless that was long ago')
})
