import { type Family, post, posted, refused, served, SMUGGLED } from '../case.js';

const BAD = [
  '+5',
  '-5',
  '-0',
  '5,5',
  '5, 5',
  '5, 6',
  '5;5',
  '5 5',
  '5.0',
  '5e0',
  '0x5',
  '0b1',
  '0o5',
  '1_0',
  '5_',
  '"5"',
]
  .concat([
    "'5'",
    '(5)',
    '',
    ' ',
    ',5',
    '5,',
    '\xa05',
    '5\x85',
    '\xb2',
    'five',
    'NaN',
    'Infinity',
    '1e1',
    '5\x0b',
    '\x0c5',
  ])
  .concat([
    '18446744073709551621',
    '4294967301000000000000',
    '9007199254740993000',
    '0'.repeat(16),
    `${'0'.repeat(15)}5`,
  ]);

/** Lengths that are read as another number, or as none. */
export const lengths: Family = {
  name: 'lengths',
  cases: [
    ...BAD.map((text) =>
      refused(`Content-Length: ${JSON.stringify(text)}`, post([`Content-Length: ${text}`], `hello${SMUGGLED}`)),
    ),
    refused('two lengths that agree', post(['Content-Length: 5', 'Content-Length: 5'], 'hello')),
    refused('two lengths that do not', post(['Content-Length: 0', `Content-Length: ${SMUGGLED.length}`], SMUGGLED)),
    refused('two lengths in other letters', post(['Content-Length: 5', 'CONTENT-LENGTH: 0'], 'hello')),
    refused('a length and an empty one', post(['Content-Length: 5', 'Content-Length:'], 'hello')),
    refused('a space before the colon', post([`Content-Length : ${SMUGGLED.length}`], SMUGGLED)),
    refused('a tab before the colon', post([`Content-Length\t: ${SMUGGLED.length}`], SMUGGLED)),
    refused('a space before the name', post([` Content-Length: ${SMUGGLED.length}`], SMUGGLED)),
    refused('an underscore', post([`Content_Length: ${SMUGGLED.length}`], SMUGGLED)),
    refused('a NUL in the name', post([`Content\0-Length: ${SMUGGLED.length}`], SMUGGLED)),
    refused('folded', post([`Content-Length:\r\n ${SMUGGLED.length}`], SMUGGLED)),
    refused('in the first line', `POST /weather/v1/a HTTP/1.1 Content-Length: 5\r\nHost: a\r\n\r\nhello`),
    refused('a tab behind it', post(['Content-Length: 5\t'], 'hello')),
    refused('a tab and a space behind it', post(['Content-Length: 5\t '], 'hello')),
    served('zeros in front', post(['Content-Length: 0000000005'], 'hello'), [
      posted('hello', { 'content-length': '5' }),
    ]),
    served('padding', post(['Content-Length: \t5  '], 'hello'), [posted('hello', { 'content-length': '5' })]),
    served(
      'names that only look like it',
      post(['Content-Length: 5', 'X-Content-Length: 3', 'Content-Lengths: 4', 'ContentLength: 0'], 'hello'),
      [posted('hello')],
    ),
  ],
};
