import { A, type Family, get, head, post, posted, refused, served, SMUGGLED } from '../case.js';

/** A field that goes on in the next line. */
export const obsFold: Family = {
  name: 'obs-fold',
  cases: [
    refused('with a space', get('X: y', ' z')),
    refused('with a tab', get('X: y', '\tz')),
    refused('of nothing', get('X:', ' ')),
    refused('behind the first line', 'GET /weather/v1/a HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n'),
    refused('of Host', 'GET /weather/v1/a HTTP/1.1\r\nHost:\r\n a\r\n\r\n'),
    refused('of a length', post(['Content-Length: 1', ' 0'], 'x')),
    refused('that hides a length', post(['X: y', ` Content-Length: ${SMUGGLED.length}`], SMUGGLED)),
    refused('that hides a coding', post(['X: y', '\tTransfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n')),
    refused('before the empty line', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n \r\n\r\n'),
    refused('with a bare LF', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX: y\n z\r\n\r\n'),
    refused('of a second request', get() + get('X: y', ' z'), 400, [A]),
  ],
};

const CONTROLS = Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)).concat('\x7f');

/** Line ends that only one of two takes for one, and bytes that end a text for some. */
export const lineEnds: Family = {
  name: 'bare LF, bare CR, NUL',
  cases: [
    refused('LF everywhere', 'GET /weather/v1/a HTTP/1.1\nHost: a\n\n'),
    refused('LF behind the first line', 'GET /weather/v1/a HTTP/1.1\nHost: a\r\n\r\n'),
    refused('LF behind a field', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\nX: y\r\n\r\n'),
    refused('LF for the empty line', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\n'),
    refused('LF LF in a value, and a request behind it', get(`X: y\n\n${SMUGGLED}`)),
    refused('LF LF behind the first line', 'GET /weather/v1/a HTTP/1.1\n\nHost: a\r\n\r\n'),
    refused('LF LF behind a field', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\n\nX: y\r\n\r\n'),
    refused('LF LF for the empty line', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\n\n'),
    refused('CR CR behind a field', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\rX: y\r\n\r\n'),
    refused('CR CR for the empty line', `GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\r${SMUGGLED}`),
    refused('CR behind the first line', 'GET /weather/v1/a HTTP/1.1\rHost: a\r\n\r\n'),
    refused('CR behind a field', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\rX: y\r\n\r\n'),
    refused('CR for the empty line', `GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r${SMUGGLED}`),
    refused('CR CR LF behind the first line', 'GET /weather/v1/a HTTP/1.1\r\r\nHost: a\r\n\r\n'),
    refused('CR CR LF behind a field', get('X: y\r')),
    refused('LF CR behind a field', 'GET /weather/v1/a HTTP/1.1\r\nHost: a\n\rX: y\r\n\r\n'),
    refused('LF between target and version', 'GET /weather/v1/a\nHTTP/1.1\r\nHost: a\r\n\r\n'),
    ...CONTROLS.filter((control) => control !== '\t').flatMap((control) => [
      refused(`${JSON.stringify(control)} in a value`, get(`X: a${control}b`)),
      refused(`${JSON.stringify(control)} in the target`, head(`GET /weather/v1/a${control}b HTTP/1.1`)),
    ]),
    ...CONTROLS.flatMap((control) => [refused(`${JSON.stringify(control)} in a name`, get(`X${control}Y: a`))]),
    refused('a tab in the target', head('GET /weather/v1/a\tb HTTP/1.1')),
    refused('a tab for a space', 'GET\t/weather/v1/a\tHTTP/1.1\r\nHost: a\r\n\r\n'),
    refused('a NUL at the end of the first line', 'GET /weather/v1/a HTTP/1.1\0\r\nHost: a\r\n\r\n'),
    refused('a NUL for the method', '\0 /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n'),
    served('a tab in a value', get('X: a\tb'), [{ ...A, fields: { x: 'a\tb' } }]),
    served('bytes above ASCII in a value', get('X: a\x80\xffb'), [{ ...A, fields: { x: 'a\x80\xffb' } }]),
    served('line ends and NUL in a body', post(['Content-Length: 5'], '\n\n\r\r\0'), [posted('\n\n\r\r\0')]),
  ],
};

/** What stands before a request. */
export const leading: Family = {
  name: 'bytes before the first line',
  cases: [
    served('one empty line', `\r\n${get()}`, [A]),
    served('one empty line behind a body that was too short by it', `${post(['Content-Length: 1'], 'x')}\r\n${get()}`, [
      posted('x'),
      A,
    ]),
    refused('two empty lines', `\r\n\r\n${get()}`),
    ...[
      '\n',
      '\r',
      ' ',
      '\t',
      '\0',
      '\r\n ',
      '\r\n\t',
      '\n\r\n',
      '\r\r\n',
      ' \r\n',
      '\xef\xbb\xbf',
      '0\r\n\r\n',
      '\x16\x03\x01\x00',
    ].map((before) => refused(JSON.stringify(before), before + get())),
    refused('a space behind a request', `${get()} ${get()}`, 400, [A]),
    refused('a bare LF behind a request', `${get()}\n${get()}`, 400, [A]),
    refused('two empty lines behind a request', `${get()}\r\n\r\n${get()}`, 400, [A]),
    refused('more of a body than was said', `${post(['Content-Length: 1'], 'xyz ')}${get()}`, 501, [posted('x')]),
    refused('chunks behind a request without a coding', `${post([])}5\r\nhello\r\n0\r\n\r\n`, 400, [posted('')]),
  ],
};
