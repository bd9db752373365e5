const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * About how many requests stand in bytes that are not read yet: as many as there are empty lines that could end a head. A
 * body that has so many of them behind a request without an answer counts as well; reading it properly would mean to
 * read ahead, which is what is to be avoided.
 */
export function countHeadEnds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(HEAD_END); at >= 0; at = bytes.indexOf(HEAD_END, at + HEAD_END.length)) count += 1;
  return count;
}
