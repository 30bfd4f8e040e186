import type { Static } from '@sinclair/typebox'
import { allStandings, type Standing } from '../../projections/mailbox-standings.ts'
import { RulesPreview } from '../../schema/mailbox.ts'
import type { ExclusionRules } from '../../schema/mailbox-events.ts'
import type { Preview } from '../platform/http/commands.ts'
import { Refused } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { mailbox, normalizedRules, ownAddresses } from './mailbox.ts'
import { excludedBy, excludedByAddresses, excludedByLabels, type People } from './rules.ts'

const EXAMPLES = 10
/** More are not looked through while somebody waits for the answer. */
const MOST = 100_000

type Found = Static<typeof RulesPreview>['hides']['examples'][number]

/** What other rules would hide of what is here, and bring of what stays out: asked before they are set. */
export const rulesPreview = ({ runner, pool }: Pick<Services, 'runner' | 'pool'>): Preview => ({
  schema: RulesPreview,
  async run(body, { id }) {
    const state = fold(mailbox, await runner.load(`mailbox-${id}`))
    if (state.status === 'unknown') throw new Refused('mailbox-not-found', 'There is no such mailbox.', 404)
    const rules = normalizedRules(body as never)
    const own = ownAddresses(state)
    const hides = { count: 0, examples: [] as Found[] }
    const brings = { count: 0, examples: [] as Found[] }
    const note = (place: typeof hides, found: Found) => {
      place.count += 1
      if (place.examples.length < EXAMPLES) place.examples.push(found)
    }
    let looked = 0
    for await (const page of allStandings(pool, id!)) {
      for (const message of page) {
        const { messageId, emailId, standing, labels, people, rule, by } = message
        if ((standing === 'stored' || standing === 'known') && people) {
          const exclusion = excludedBy({ labels, people: people as People }, rules, own)
          if (exclusion) note(hides, { messageId, emailId, rule: exclusion.rule, by: exclusion.by ?? null })
        } else if (standing === 'excluded' && mayCome(message, rules)) note(brings, { messageId, emailId, rule: rule!, by })
      }
      looked += page.length
      if (looked >= MOST) break
    }
    return { hides, brings, isComplete: looked < MOST }
  },
})

/**
 * Whether what kept a message out does so no longer. Of one that was kept out by who takes part in it no more is known than that, so another rule may
 * still do so when it is fetched.
 */
function mayCome({ rule, by, labels, deleted }: Standing, rules: ExclusionRules): boolean {
  if (deleted || excludedByLabels(labels, rules)) return false
  if (rule === 'label') return by === null || !rules.labels.includes(by)
  if (rule === 'address') return by === null || !excludedByAddresses([by], { ...rules, ownDomain: false }, new Set())
  if (rule === 'domain') return by === null || !rules.domains.some((domain) => by === domain || by.endsWith(`.${domain}`))
  return rule === 'own-domain' && !rules.ownDomain
}
