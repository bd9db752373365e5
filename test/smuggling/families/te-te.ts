import { chunked, type Case, type Family, post, posted, refused, served, SMUGGLED } from '../case.js';

const BODY = `0\r\n\r\n${SMUGGLED}`;
/** A line instead of the field; a length stands beside it for whoever does not take it for a coding. */
const beside = (line: string, status = 400): Case =>
  refused(JSON.stringify(line), post([`Content-Length: ${BODY.length}`, line], BODY), status);
const alone = (lines: string[], status: number): Case =>
  refused(`${JSON.stringify(lines)} alone`, post(lines, BODY), status);
const CONTROLS = [0, 1, 4, 8, 0x0b, 0x0c, 0x0e, 0x10, 0x1b, 0x1f, 0x7f].map((code) => String.fromCharCode(code));

/** One coding, written so that one of two servers does not see it. */
export const teTe: Family = {
  name: 'TE.TE',
  cases: [
    ...['xchunked', 'chunkedx', '"chunked"', "'chunked'", '[chunked]', 'chunke', 'identity', 'gzip', 'cow'].map(
      (coding) => beside(`Transfer-Encoding: ${coding}`, 501),
    ),
    ...[
      'chunked;',
      'chunked; q=1',
      'chunked;x=y',
      'chunked.',
      'chunk\xe9d',
      '\xa0chunked',
      'chunked\x85',
      'identity, chunked',
    ]
      .concat(['gzip, chunked', ', chunked', 'chunked ,', ',', ''])
      .map((coding) => beside(`Transfer-Encoding: ${coding}`, coding === 'chunked ,' ? 400 : 501)),
    ...['chunked, chunked', 'chunked, identity', 'chunked, gzip', 'chunked, '].map((coding) =>
      beside(`Transfer-Encoding: ${coding}`),
    ),
    ...CONTROLS.flatMap((control) => [
      beside(`Transfer-Encoding:${control}chunked`),
      beside(`Transfer-Encoding: chunked${control}`),
      beside(`Transfer-Encoding${control}: chunked`),
      beside(`${control}Transfer-Encoding: chunked`),
    ]),
    beside('Transfer-Encoding : chunked'),
    beside('Transfer-Encoding\t: chunked'),
    beside('Transfer-Encoding \t : chunked'),
    beside(' Transfer-Encoding: chunked'),
    beside('\tTransfer-Encoding: chunked'),
    beside('Transfer Encoding: chunked'),
    beside('Transfer\xadEncoding: chunked'),
    beside('Transfer-Encoding'),
    beside('Transfer-Encoding chunked'),
    beside('Transfer-Encoding=chunked'),
    beside('Transfer-Encoding\xa0: chunked'),
    beside('Transfer_Encoding: chunked'),
    beside('X: y\nTransfer-Encoding: chunked'),
    beside('X: y\rTransfer-Encoding: chunked'),
    beside('X: y\n\rTransfer-Encoding: chunked'),
    beside('X:\r Transfer-Encoding: chunked'),
    beside('Transfer-Encoding:\r\n chunked'),
    beside('Transfer-Encoding:\r\n\tchunked'),
    beside('Transfer-Encoding:\n chunked'),
    beside('Transfer-Encoding: chunked\r\n '),
    beside('Transfer-Encoding: chunk\r\n ed'),
    alone(['Transfer-Encoding: chunked\t'], 400),
    alone(['Transfer-Encoding: chunked \t '], 400),
    alone(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 400),
    alone(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], 400),
    alone(['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'], 501),
    alone(['Transfer-Encoding: x', 'Transfer-encoding: chunked'], 501),
    alone(['Transfer-Encoding: chunked', 'Transfer-encoding: x'], 400),
    alone(['Transfer-Encoding:', 'Transfer-Encoding: chunked'], 501),
    served('one coding with padding', post(['Transfer-Encoding: \t chunked  '], '1\r\nx\r\n0\r\n\r\n'), [posted('x')]),
    served('one coding in other letters', post(['TRANSFER-ENCODING: cHuNkEd'], '1\r\nx\r\n0\r\n\r\n'), [posted('x')]),
    served('one coding that Connection names', chunked('1\r\nx\r\n0\r\n\r\n', 'Connection: transfer-encoding'), [
      posted('x'),
    ]),
    served(
      'fields that only look like it mean nothing',
      post(['Content-Length: 1', 'X-Transfer-Encoding: chunked', 'Transfer-Encoding-X: chunked', 'TE: chunked'], 'x'),
      [posted('x', { te: null })],
    ),
  ],
};
