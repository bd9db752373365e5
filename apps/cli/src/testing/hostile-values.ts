import fc from 'fast-check';

/** Values of JSON made of given words: as keys, so that a reader looks at what is there, and as texts. */
export function hostileValues(words: readonly string[]): fc.Arbitrary<unknown> {
  const word = fc.constantFrom(...words);
  const leaf = fc.oneof(
    word,
    fc.string({ maxLength: 12 }),
    fc.constantFrom(null, true, false, -1, 0, 0.5, 60, 1e300, '', '__proto__', '\u0000', '\ud800'),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.oneof({ weight: 9, arbitrary: word }, { weight: 1, arbitrary: fc.string() }), tie('value'), {
        maxKeys: 8,
      }),
    ),
  }));
  return value;
}

/** An example in which one thing is replaced by something else. */
export function damaged(example: unknown, words: readonly string[]): fc.Arbitrary<unknown> {
  const way = fc.array(fc.nat(40), { minLength: 1, maxLength: 9 });
  return fc.tuple(way, hostileValues(words)).map(([steps, value]) => replaced(example, steps, value));
}

function replaced(node: unknown, [step = 0, ...rest]: number[], value: unknown): unknown {
  if (typeof node !== 'object' || node === null || Object.keys(node).length === 0) return value;
  const keys = Object.keys(node);
  const key = keys[step % keys.length] as string;
  const child = rest.length === 0 ? value : replaced((node as Record<string, unknown>)[key], rest, value);
  return Array.isArray(node) ? node.with(Number(key), child) : { ...node, [key]: child };
}
