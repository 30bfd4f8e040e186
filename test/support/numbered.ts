/** Contents of many sizes that are known by their number, in parts. */
export function* numbered(index: number): Generator<Buffer> {
  for (let part = 0; part <= index % 7; part += 1) yield Buffer.alloc(20_000 + index, `${index}.${part} `)
}
