/**
 * Which rows somebody may see, beside what his permissions let him do: all of them; those that are his own; or those and his team's. `owner` is what
 * a person is called by whoever gives out keys, and stands in what he makes.
 */
export type Viewer = { readonly sees: 'all' | 'team' | 'own'; readonly owner: string | null; readonly team: string | null }

/** The service itself, and keys that belong to nobody. */
export const everybody: Viewer = { sees: 'all', owner: null, team: null }

/** Whether somebody may see what belongs to these. What belongs to nobody is seen by those who see all. */
export const isVisible = ({ sees, owner, team }: Viewer, of: { readonly owner: string | null; readonly team: string | null }): boolean =>
  sees === 'all' || (owner !== null && of.owner === owner) || (sees === 'team' && team !== null && of.team === team)
