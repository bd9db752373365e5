import { broken, type Case, chunked, type Family, posted, served, SMUGGLED } from '../case.js';

const END = '0\r\n\r\n';
const size = (text: string): Case =>
  broken(`a size of ${JSON.stringify(text)}`, chunked(`${text}\r\nhello\r\n${END}${SMUGGLED}`));

/** Sizes that are read as another number. */
export const chunkSizes: Family = {
  name: 'chunk sizes',
  cases: [
    ...[
      '0x5',
      '0X5',
      '+5',
      '-5',
      '5 ',
      '5\t',
      ' 5',
      '\t5',
      '5\x0b',
      '5\0',
      '5_',
      '0_5',
      '5h',
      'h',
      '',
      '"5"',
      '5,',
      '\xb2',
      '5.0',
      '5\xa0',
      '٥',
    ].map(size),
    ...[
      '100000005',
      '10000000000000005',
      '100000000000000000005',
      '000000005',
      `${'0'.repeat(100)}5`,
      'fffffffffffffffb',
      '-1',
      '5\r',
      '5\n',
    ].map(size),
    broken('a bare LF behind the size', chunked(`5\nhello\r\n${END}`)),
    broken('a bare CR behind the size', chunked(`5\rhello\r\n${END}`)),
    broken('LF CR behind the size', chunked(`5\n\rhello\r\n${END}`)),
    broken('two CR behind the size', chunked(`5\r\r\nhello\r\n${END}`)),
    broken('a bare LF behind the data', chunked(`5\r\nhello\n${END}`)),
    broken('a bare CR behind the data', chunked(`5\r\nhello\r${END}`)),
    broken('nothing behind the data', chunked(`5\r\nhello${END}`)),
    broken('more data than was said', chunked(`5\r\nhello!\r\n${END}`)),
    broken('two bytes of anything behind the data', chunked(`5\r\nhelloXX${END}`)),
    broken('empty lines between chunks', chunked(`5\r\nhello\r\n\r\n${END}`)),
    broken('an empty line before the first chunk', chunked(`\r\n5\r\nhello\r\n${END}`)),
    broken('an empty size for the last one', chunked(`5\r\nhello\r\n\r\n\r\n${SMUGGLED}`)),
    broken('an empty size for the only one', chunked(`\r\n\r\n${SMUGGLED}`)),
    broken('a bare LF behind the last size', chunked(`0\n\r\n${SMUGGLED}`)),
    broken('a bare LF at the end', chunked(`0\r\n\n${SMUGGLED}`)),
    broken('a bare CR at the end', chunked(`0\r\n\r${SMUGGLED}`)),
    broken('a request where the size should be', chunked(SMUGGLED)),
    served('a request in a chunk', chunked(`${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${END}`), [
      posted(SMUGGLED),
    ]),
    served('the end of chunks in a chunk', chunked(`5\r\n${END}\r\n${END}`), [posted(END)]),
    served('zeros in front', chunked('00000005\r\nhello\r\n00000000\r\n\r\n'), [posted('hello')]),
    served('digits in both letters', chunked(`A\r\n0123456789\r\nb\r\n0123456789a\r\n${END}`), [
      posted('01234567890123456789a'),
    ]),
    served('chunks of one byte', chunked(`1\r\n\r\r\n1\r\n\n\r\n1\r\n0\r\n${END}`), [posted('\r\n0')]),
    served('no data at all', chunked(END), [posted('')]),
    served('two such requests in a row', chunked(`1\r\nx\r\n${END}`) + chunked(`1\r\ny\r\n${END}`), [
      posted('x'),
      posted('y'),
    ]),
  ],
};

/** Text behind a size: some end it at the next LF, some do not look at it at all. */
export const chunkExtensions: Family = {
  name: 'chunk extensions',
  cases: [
    ...[
      ';',
      ';x',
      ';x=y',
      ';x="y"',
      ';x="\r\n"',
      ' ;x',
      ' ; x = y',
      ';\n',
      ';x\n',
      ';x\r',
      ';\0',
      ';\xff',
      `;${'x'.repeat(20_000)}`,
      '\t;x',
      ';;',
      ',x',
      ' x',
    ].map((extension) =>
      broken(JSON.stringify(extension.slice(0, 20)), chunked(`5${extension}\r\nhello\r\n${END}${SMUGGLED}`)),
    ),
    broken('behind the last size', chunked(`0;x=y\r\n\r\n${SMUGGLED}`)),
    broken('with a bare LF and what may be a size behind it', chunked(`2;\nxx\r\n4c\r\n${END}${SMUGGLED}`)),
    broken('with the end of the line in quotes', chunked(`5;a="\r\nhello\r\n${END}"${SMUGGLED}`)),
  ],
};

/** Fields behind the body: dropped, whatever they would be in front of it. */
export const trailers: Family = {
  name: 'trailers',
  cases: [
    ...['X: y', 'Authorization: x', 'X-Forwarded-For: 1', 'Date: x', 'X:', 'X: y\r\nZ: w', 'X-Content-Length: 1'].map(
      (line) =>
        served(JSON.stringify(line), chunked(`5\r\nhello\r\n0\r\n${line}\r\n\r\n`, 'Trailer: X'), [
          posted('hello', { x: null, z: null, trailer: null, authorization: null, connection: 'keep-alive' }),
        ]),
    ),
    ...[
      'X',
      'X : y',
      ' X: y',
      'X: y\r\n z',
      'X: y\nZ: w',
      'X: y\rZ: w',
      'X: a\0b',
      ': y',
      'X\xe9: y',
      'GET / HTTP/1.1',
      SMUGGLED.trimEnd(),
    ].map((line) =>
      broken(`that are none: ${JSON.stringify(line)}`, chunked(`5\r\nhello\r\n0\r\n${line}\r\n\r\n${SMUGGLED}`)),
    ),
    ...[
      'Content-Length: 100',
      'content-length:0',
      'Transfer-Encoding: chunked',
      'TRANSFER-ENCODING: identity',
      'Content_Length: 1',
      'Host: b',
      'Connection: close',
      'Proxy-Connection: close',
      'Upgrade: websocket',
      'Expect: 100-continue',
      'X: y\r\nContent-Length: 100',
    ].map((line) =>
      broken(`that frame a message: ${JSON.stringify(line)}`, chunked(`5\r\nhello\r\n0\r\n${line}\r\n\r\n${SMUGGLED}`)),
    ),
    broken('that are too many', chunked(`0\r\n${'X: y\r\n'.repeat(3000)}\r\n`)),
    broken('of one that is too long', chunked(`0\r\nX: ${'y'.repeat(17_000)}\r\n\r\n`)),
  ],
};
