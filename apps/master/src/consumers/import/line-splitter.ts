/** A line of the input with its number, from 1; `tooLong` when it has more bytes than allowed and was not kept. */
export interface NumberedLine {
  number: number;
  bytes: Buffer;
  tooLong: boolean;
}

const NEWLINE = 0x0a;
const BRACE = 0x7b;

/**
 * Cuts a byte stream into lines; empty ones are passed over. Memory stays within one chunk and one line.
 *
 * @returns the lines that end in each chunk together: to wait for each of them costs more than to read it
 */
export async function* splitLines(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<NumberedLine[]> {
  let number = 0;
  let pieces: Buffer[] = [];
  let size = 0;
  const take = (): NumberedLine | null => {
    number += 1;
    const tooLong = size > maxBytes;
    const [only = Buffer.alloc(0)] = pieces;
    const bytes = tooLong || pieces.length === 1 ? only : Buffer.concat(pieces);
    pieces = [];
    size = 0;
    const isBlank = !tooLong && bytes[0] !== BRACE && bytes.toString('latin1').trim() === '';
    return isBlank ? null : { number, bytes, tooLong };
  };
  for await (const chunk of source) {
    const lines: NumberedLine[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end));
      const line = take();
      if (line) lines.push(line);
      start = end + 1;
    }
    add(chunk.subarray(start));
    yield lines;
  }
  if (size > 0) {
    const line = take();
    if (line) yield [line];
  }

  function add(piece: Buffer): void {
    size += piece.length;
    if (size <= maxBytes) pieces.push(piece);
    else pieces = []; // too long: counted, not kept
  }
}
