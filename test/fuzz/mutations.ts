import fc from 'fast-check';

/** One thing that happens to bytes on their way; places are shares of the length, so that they shrink together. */
type Mutation = (bytes: Buffer) => Buffer;

const place = fc.double({ min: 0, max: 1, noNaN: true });
const at = (bytes: Buffer, share: number): number => Math.min(bytes.length - 1, Math.floor(share * bytes.length));

/** Lengths and counts that a careless reader would believe, of 1, 2, 4 and 8 bytes. */
const GREEDY = ['00', 'ff', '7f', '80', '0000', 'ffff', '00000000', '7fffffff', 'ffffffff', '04000000', '03ffffff']
  .concat(['ffffff7f', '80808001', 'ffffffffffffffff', '0000000100000000'])
  .map((hex) => Buffer.from(hex, 'hex'));

const overwrite =
  (start: number, what: Buffer): Mutation =>
  (bytes) => {
    const changed = Buffer.from(bytes);
    what.copy(changed, at(bytes, start));
    return changed;
  };

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.integer({ min: 0, max: 7 })).map(
    ([where, bit]): Mutation =>
      (bytes) => {
        const changed = Buffer.from(bytes);
        const index = at(bytes, where);
        changed[index] = (changed[index] ?? 0) ^ (1 << bit);
        return changed;
      },
  ),
  fc.tuple(place, fc.constantFrom(...GREEDY)).map(([where, what]) => overwrite(where, what)),
  fc
    .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 64 }))
    .map(([where, what]) => overwrite(where, Buffer.from(what))),
  place.map(
    (end): Mutation =>
      (bytes) =>
        bytes.subarray(0, at(bytes, end)),
  ),
  fc.uint8Array({ minLength: 1, maxLength: 200 }).map(
    (more): Mutation =>
      (bytes) =>
        Buffer.concat([bytes, more]),
  ),
  fc.tuple(place, place).map(
    ([a, b]): Mutation =>
      (bytes) => {
        const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))];
        return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
      },
  ),
  fc.tuple(place, place).map(
    ([a, b]): Mutation =>
      (bytes) => {
        const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))];
        return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
      },
  ),
);

/** What can become of valid bytes: one to four things happen to them. */
export function mutated(valid: readonly Buffer[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.constantFrom(...valid), fc.array(mutation, { minLength: 1, maxLength: 4 }))
    .map(([bytes, all]) => all.reduce((now, change) => (now.length === 0 ? now : change(now)), bytes));
}

/** Bytes from nowhere; half of them begin as the valid ones do, after a length of their own. */
export function arbitrary(valid: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const noise = fc.uint8Array({ maxLength: 600 }).map((array) => Buffer.from(array));
  const begun = fc
    .tuple(fc.constantFrom(...valid), fc.integer({ min: 1, max: 60 }), noise)
    .map(([bytes, length, rest]) => Buffer.concat([bytes.subarray(0, length), rest]));
  return fc.oneof(noise, begun);
}
