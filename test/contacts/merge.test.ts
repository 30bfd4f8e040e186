import { deepStrictEqual } from 'node:assert/strict'
import t from 'tap'
import type { Choice, Chosen } from '../../schema/contact-events.ts'
import { contactEvents } from '../../schema/contact-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import { contact, isKnown } from '../../src/contacts/contact.ts'
import { absorb, drop, mergeInto, type Other, release, unmerge } from '../../src/contacts/merge.ts'
import { fold } from '../../src/platform/runner.ts'
import { given, id, rules, subject } from '../support/given.ts'

const { ContactCreated, ContactRenamed, ContactMethodRemoved, ContactArchived, ContactAssigned, ContactFieldSet, ContactFieldLocked } =
  contactEvents
const { ContactMergedInto, ContactMerged, ContactUnmerged, ContactUnmergedFrom, ContactEnrichableChanged, ContactEnriched } = contactEvents

const contactId = subject
const [from, mergeId] = [id(1), id(2)]
const ada = { id: id(51), type: 'email', value: 'ada@example.com', normalized: 'ada@example.com' } as const
const twin = { id: id(52), type: 'email', value: 'twin@example.com', normalized: 'twin@example.com' } as const
const phone = { id: id(53), type: 'phone', value: '+442079460123', raw: '+44 20 7946 0123' } as const
const samePhone = { ...phone, id: id(54) }
const value = {
  id: id(70),
  field: 'jobTitle' as const,
  value: 'Analyst',
  confidence: 0.9,
  evidence: 'Ada is our Analyst.',
  isSupported: true,
  source: { kind: 'mail' as const, vendor: 'mail', readAt: '2026-03-01T09:30:00.000Z', model: 'gpt-5-mini', promptVersion: '1' },
}
const created = ContactCreated({ contactId, name: 'Ada', methods: [ada, phone] })
const nobodys: Other = {
  name: 'Twin',
  company: 'Engines',
  owner: 'grace',
  team: null,
  methods: [twin, samePhone],
  brought: [],
  values: [],
  words: [],
  enrichable: true,
}
const choose = (choices: { [F in Chosen['field']]?: Choice }) =>
  (Object.entries(choices) as [Chosen['field'], Choice][]).map(([field, choice]) => ({ field, choice }))
const take = (other: Partial<Other> = {}, choices: Parameters<typeof choose>[0] = {}) => ({
  from,
  mergeId,
  chosen: choose(choices),
  other: { ...nobodys, ...other },
})
const taken = (more: Partial<ReturnType<typeof ContactMerged>['data']> = {}) =>
  ContactMerged({
    contactId,
    from,
    mergeId,
    brought: [],
    methods: [twin],
    known: [samePhone],
    company: 'Engines',
    owner: 'grace',
    team: null,
    values: [],
    words: [],
    ...more,
  })
const without = ({ company: _, owner: __, team: ___, ...data }: ReturnType<typeof ContactMerged>['data'], more: object = {}) =>
  ContactMerged({ ...data, ...more })
const leave = (more: object = {}) => ({ from, mergeId, methodIds: [twin.id, samePhone.id], valueIds: [], parts: [], withheld: [], ...more })
const left = (more: Partial<ReturnType<typeof ContactUnmerged>['data']> = {}) =>
  ContactUnmerged({
    contactId,
    from,
    mergeId,
    gone: [from],
    methodIds: [twin.id],
    withheld: [],
    valueIds: [],
    methods: [],
    company: null,
    owner: null,
    team: null,
    fields: [],
    kept: [],
    ...more,
  })
const intoOther = ContactMergedInto({ contactId, into: from, mergeId, chosen: [] })
const archived = ContactArchived({ contactId })

t.test('becoming part of another', async (t) => {
  const rule = rules(t)
  const body = { into: from, mergeId, chosen: choose({ name: 'from' }) }
  const begun = ContactMergedInto({ contactId, into: from, mergeId, chosen: choose({ name: 'from' }) })
  rule('an active contact does', () => given(created).when(mergeInto, body).then(begun))
  rule('an archived one does', () => given(created, archived).when(mergeInto, body).then(begun))
  rule('none does twice', () => given(created, intoOther).when(mergeInto, body).refused('contact-merged'))
  rule('none becomes part of itself', () =>
    given(created)
      .when(mergeInto, { ...body, into: contactId })
      .refused('contact-itself', 422),
  )
  rule('an unknown one is not found', () => given().when(mergeInto, body).refused('contact-not-found', 404))
})

t.test('taking another', async (t) => {
  const rule = rules(t)
  rule('what is not there yet comes along, and what was said before stays', () => given(created).when(absorb, take()).then(taken()))
  rule('what was chosen is taken', () =>
    given(created)
      .when(absorb, take({}, { name: 'from', company: 'survivor', owner: 'survivor' }))
      .then(without(taken().data, { name: 'Twin' })),
  )
  rule('an owner that there is stays, unless that of the other is chosen', () => {
    const owned = ContactAssigned({ contactId, owner: 'ada', team: 'engines' })
    given(created, owned)
      .when(absorb, take())
      .then(without(taken().data, { company: 'Engines' }))
    given(created, owned)
      .when(absorb, take({}, { owner: 'from' }))
      .then(taken())
  })
  const word = { field: 'jobTitle' as const, values: ['Countess'], order: 3 }
  rule('what people said comes along where nobody said anything, as if it had been said before all else', () =>
    given(created)
      .when(absorb, take({ words: [word] }))
      .then(taken({ words: [{ ...word, order: 3 - 1_000_000 }] })),
  )
  const set = ContactFieldSet({ contactId, field: 'jobTitle', values: ['Analyst'] })
  rule('people’s word on the survivor stays, unless the other’s is chosen, which is said at this moment', () => {
    given(created, set)
      .when(absorb, take({ words: [word] }))
      .then(taken())
    given(created, set)
      .when(absorb, take({ words: [word] }, { jobTitle: 'from' }))
      .then(taken({ words: [{ field: 'jobTitle', values: ['Countess'] }] }))
  })
  rule('a locked field takes nothing that nobody chose', () =>
    given(created, ContactFieldLocked({ contactId, field: 'jobTitle' }))
      .when(absorb, take({ words: [word], values: [{ ...value, enrichmentId: id(71), proposedAt: '2026-03-01T09:30:00.000Z', order: 2 }] }))
      .then(taken()),
  )
  rule('nobody chooses what nobody said', () =>
    given(created)
      .when(absorb, take({}, { jobTitle: 'from' }))
      .refused('nothing-to-choose', 422),
  )
  rule('who is not to be enriched makes it so for both', () =>
    given(created)
      .when(absorb, take({ enrichable: false }))
      .then(taken({ enrichable: false })),
  )
  rule('the same again changes nothing', () => given(created, taken()).when(absorb, take()).thenNothing())
  rule('one that left is not taken by the same merge', () => given(created, taken(), left()).when(absorb, take()).thenNothing())
  rule('an archived contact takes none', () => given(created, archived).when(absorb, take()).refused('contact-not-active'))
  rule('nor one that is part of another', () =>
    given(created, intoOther)
      .when(absorb, { ...take(), mergeId: id(9) })
      .refused('contact-merged'),
  )
  rule('nor an unknown one', () => given().when(absorb, take()).refused('contact-not-found', 404))
})

t.test('giving back', async (t) => {
  const rule = rules(t)
  rule('what came goes, and what was taken is put back', () => given(created, taken()).when(unmerge, leave()).then(left()))
  rule('what somebody changed stays, and is named', () =>
    given(created, taken({ name: 'Twin' }), ContactRenamed({ contactId, name: 'Countess' }))
      .when(unmerge, leave())
      .then(left({ kept: ['name'] })),
  )
  rule('what somebody removed does not go back', () =>
    given(created, taken(), ContactMethodRemoved({ contactId, methodId: twin.id }))
      .when(unmerge, leave())
      .then(left({ methodIds: [], withheld: [twin.id] })),
  )
  const another = ContactMerged({
    contactId,
    from: id(3),
    mergeId: id(4),
    brought: [],
    methods: [],
    known: [{ ...twin, id: id(55) }],
    values: [],
    words: [],
  })
  rule('what another that stays has by it, too, stays by that one', () =>
    given(created, taken(), another)
      .when(unmerge, leave())
      .then(left({ methods: [{ ...twin, id: id(55) }] })),
  )
  const renamed = [taken({ name: 'Twin' }), ContactMerged({ ...(another.data as ReturnType<typeof ContactMerged>['data']), name: 'Third' })]
  rule('what a later merge took is left to that one, which then puts back what was before both', () => {
    given(created, ...renamed)
      .when(unmerge, leave())
      .then(left({ methods: [{ ...twin, id: id(55) }] }))
    const events: NewEvent[] = [created, ...renamed, left()]
    const state = fold(contact, events)
    deepStrictEqual(isKnown(state) && state.merges!.map(({ took }) => took), [{ name: { was: 'Ada', became: 'Third' } }])
  })
  rule('who came along goes along', () =>
    given(created, taken({ brought: [{ contactId: id(5), mergeId: id(6) }] }))
      .when(unmerge, leave({ parts: [id(5)] }))
      .then(left({ gone: [from, id(5)] })),
  )
  rule('one that came along goes alone, and what it was called by is corrected', () =>
    given(created, taken({ name: 'Twin', brought: [{ contactId: id(5), mergeId: id(6) }] }))
      .when(unmerge, { ...leave({ methodIds: [twin.id] }), from: id(5), mergeId: id(6), below: { name: 'Own', methods: [], fields: [] } })
      .then(
        ContactUnmerged({
          contactId,
          from: id(5),
          mergeId: id(6),
          gone: [id(5)],
          methodIds: [twin.id],
          withheld: [],
          valueIds: [],
          methods: [],
          name: 'Own',
          fields: [],
          kept: [],
        }),
      ),
  )
  rule('it may be enriched again, if it might be before', () => {
    given(created, taken({ enrichable: false }))
      .when(unmerge, leave())
      .then(left({ enrichable: true }))
    given(created, ContactEnrichableChanged({ contactId, enrichable: false }), taken({ enrichable: false }))
      .when(unmerge, leave())
      .then(left())
  })
  rule('values that came go, what was found since stays', () => {
    const brought = { ...value, enrichmentId: id(71), proposedAt: '2026-03-01T09:30:00.000Z', order: -5 }
    const since = ContactEnriched({ contactId, enrichmentId: id(73), values: [{ ...value, id: id(72) }] })
    given(created, taken({ values: [brought] }), since)
      .when(unmerge, leave({ valueIds: [id(70)] }))
      .then(left({ valueIds: [id(70)] }))
    const state = fold(contact, [created, taken({ values: [brought] }), since, left({ valueIds: [id(70)] })])
    deepStrictEqual(isKnown(state) && [Object.keys(state.enriched!.values), state.enriched!.enrichments], [[id(72)], [id(73)]])
  })
  rule('an archived contact gives back as well', () => given(created, taken(), archived).when(unmerge, leave()).then(left()))
  rule('what was given back is not given back again', () => given(created, taken(), left()).when(unmerge, leave()).thenNothing())
  rule('who never took gives nothing', () => given(created).when(unmerge, leave()).thenNothing())
  rule('an unknown one is not found', () => given().when(unmerge, leave()).refused('contact-not-found', 404))
})

t.test('a merge that cannot come about', async (t) => {
  const rule = rules(t)
  const nothing = ContactUnmerged({
    contactId,
    from,
    mergeId,
    gone: [],
    methodIds: [],
    withheld: [],
    valueIds: [],
    methods: [],
    fields: [],
    kept: [],
  })
  rule('is recorded so that nobody takes it later', () => given(created, archived).when(drop, { from, mergeId }).then(nothing))
  rule('once', () => given(created, nothing).when(drop, { from, mergeId }).thenNothing())
  rule('one that came about does not go by that', () => given(created, taken()).when(drop, { from, mergeId }).thenNothing())
  rule('of an unknown contact there is none', () => given().when(drop, { from, mergeId }).refused('contact-not-found', 404))
})

t.test('living again', async (t) => {
  const rule = rules(t)
  const lives = ContactUnmergedFrom({ contactId, into: from, mergeId, archived: false, withheld: [], name: 'Ada', methods: [ada, phone] })
  const body = { mergeId, withheld: [] as string[] }
  rule('a contact is as it was', () => given(created, intoOther).when(release, body).then(lives))
  rule('but for what was removed meanwhile', () =>
    given(created, intoOther)
      .when(release, { mergeId, withheld: [phone.id, id(9)] })
      .then(ContactUnmergedFrom({ ...lives.data, withheld: [phone.id], methods: [ada] })),
  )
  rule('an archived one is archived', () =>
    given(created, archived, intoOther)
      .when(release, body)
      .then(ContactUnmergedFrom({ ...lives.data, archived: true })),
  )
  rule('again changes nothing, nor by another merge than the one that it is part by', () => {
    given(created, intoOther, lives).when(release, body).thenNothing()
    given(created, intoOther)
      .when(release, { ...body, mergeId: id(9) })
      .thenNothing()
    given(created).when(release, body).thenNothing()
  })
  rule('an unknown one is not found', () => given().when(release, body).refused('contact-not-found', 404))
  rule('before and after it is the same', () =>
    deepStrictEqual(fold(contact, [created, intoOther, lives]), { ...fold(contact, [created]) }),
  )
})
