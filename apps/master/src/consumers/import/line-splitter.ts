/** A line of the input with its number, from 1; `tooLong` when it has more bytes than allowed and was not kept. */
export interface NumberedLine {
  number: number;
  bytes: Buffer;
  tooLong: boolean;
}

const NEWLINE = 0x0a;

/** Cuts a byte stream into lines; empty ones are passed over. Memory stays within one chunk and one line. */
export async function* splitLines(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<NumberedLine> {
  let number = 0;
  let pieces: Buffer[] = [];
  let size = 0;
  const take = (): NumberedLine | null => {
    number += 1;
    const tooLong = size > maxBytes;
    const bytes = tooLong ? Buffer.alloc(0) : Buffer.concat(pieces);
    pieces = [];
    size = 0;
    return tooLong || bytes.toString('latin1').trim() !== '' ? { number, bytes, tooLong } : null;
  };
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end));
      const line = take();
      if (line) yield line;
      start = end + 1;
    }
    add(chunk.subarray(start));
  }
  if (size > 0) {
    const line = take();
    if (line) yield line;
  }

  function add(piece: Buffer): void {
    size += piece.length;
    if (size <= maxBytes) pieces.push(piece);
    else pieces = []; // too long: counted, not kept
  }
}
