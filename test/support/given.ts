import { deepStrictEqual, fail, ok } from 'node:assert/strict'
import type { Static, TObject } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Test } from 'tap'
import type { NewEvent } from '../../schema/define.ts'
import { allEvents } from '../../schema/events.ts'
import type { Command, Context } from '../../src/platform/decider.ts'
import { Refused } from '../../src/platform/refusal.ts'
import { fold } from '../../src/platform/runner.ts'
import { everybody } from '../../src/platform/viewer.ts'

/** The id that the context makes of a number: `newId(3)` in a decision is `id(3)` in a test. */
export const id = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
/** The subject of the stream. */
export const subject = id(100)

/** @param series tells the ids of one command from those of another */
export const contextWith = (params: Readonly<Record<string, string>> = {}, series = 0): Context => ({
  id: subject,
  params,
  viewer: everybody,
  commandId: id(999),
  actor: 'key:test',
  now: '2026-03-01T09:30:00.000Z',
  newId: (index) => id(series * 1_000 + index),
})

/** Rules of the book: each title is a rule, its check throws where it does not hold. */
export const rules = (t: Test) => (title: string, check: () => unknown) =>
  t.test(title, async (t) => {
    await check()
    t.pass('it does')
  })

/** What a command decides. Bodies that the API would turn away and events that the codec would turn away are faults of the test or of the decision. */
export function decide<State, Body extends TObject>(
  command: Command<State, Body>,
  body: Static<Body>,
  events: readonly NewEvent[],
  context = contextWith(),
): readonly NewEvent[] | Refused {
  const faults = [...Value.Errors(command.body, body), ...(command.faults?.(body) ?? [])]
  deepStrictEqual(faults, [], 'a body that the API lets through')
  try {
    const decided = command.decide(body, fold(command.decider, events), context)
    for (const { type, data } of decided) {
      const declared = (allEvents as Record<string, { schema: TObject }>)[type]
      ok(declared, `${type} is declared`)
      deepStrictEqual([...Value.Errors(declared.schema, data)], [], `${type} fits its schema`)
    }
    return decided
  } catch (error) {
    if (error instanceof Refused) return error
    throw error
  }
}

/** `given(…what happened).when(command, body).then(…what happens)`, `.thenNothing()` or `.refused(code)`. */
export const given = (...events: NewEvent[]) => ({
  when<State, Body extends TObject>(
    command: Command<State, Body>,
    body: Static<Body>,
    { params = {} }: { params?: Readonly<Record<string, string>> } = {},
  ) {
    const decided = () => decide(command, body, events, contextWith(params))
    return {
      // biome-ignore lint/suspicious/noThenProperty: nobody awaits it, and it is what the style is called by
      then(...expected: NewEvent[]) {
        const happened = decided()
        if (happened instanceof Refused) fail(`refused: ${happened.code}`)
        deepStrictEqual(happened, expected)
      },
      thenNothing() {
        this.then()
      },
      /** @param status the HTTP status that goes with it */
      refused(code: string, status = 409) {
        const refusal = decided()
        if (!(refusal instanceof Refused)) fail(`not refused: ${JSON.stringify(refusal)}`)
        deepStrictEqual({ code: refusal.code, status: refusal.status }, { code, status })
      },
    }
  },
})
