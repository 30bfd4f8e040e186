/** Disjoint sets of nodes that are joined two at a time (union-find, with halving of paths and the larger set's root on top). */
export function createUnion() {
  const parents = new Map<string, string>()
  const sizes = new Map<string, number>()

  const root = (node: string): string => {
    let at = node
    for (let parent = parents.get(at); parent !== undefined && parent !== at; parent = parents.get(at)) {
      const above = parents.get(parent)!
      parents.set(at, above)
      at = above
    }
    if (at === node && !parents.has(node)) parents.set(node, node)
    return at
  }

  const join = (a: string, b: string): void => {
    const [x, y] = [root(a), root(b)]
    if (x === y) return
    const [sizeX, sizeY] = [sizes.get(x) ?? 1, sizes.get(y) ?? 1]
    const [top, below] = sizeX >= sizeY ? [x, y] : [y, x]
    parents.set(below, top)
    sizes.set(top, sizeX + sizeY)
  }

  return { join, root, nodes: () => [...parents.keys()] }
}
