import { type Case, type Family, head, refused, served, turnedDown } from '../case.js';

const target = (text: string, status = 400): Case =>
  refused(JSON.stringify(text), head(`GET ${text} HTTP/1.1`), status);
const down = (text: string): Case => turnedDown(JSON.stringify(text), head(`GET ${text} HTTP/1.1`));

/** Targets that name a host, or that another server reads as another path. */
export const targets: Family = {
  name: 'targets',
  cases: [
    ...[
      'http://a/weather/v1/a',
      'http://b/weather/v1/a',
      'https://a/weather/v1/a',
      'HTTP://a/',
      'ftp://a/',
      'http:/weather/v1/a',
      'http:\\\\a',
    ].map((text) => target(text)),
    ...[
      'a:80',
      'a',
      '*',
      '?x',
      '#',
      '\\weather\\v1\\a',
      '.',
      '../',
      '@a/weather/v1/a',
      ':80/weather/v1/a',
      '%2fweather/v1/a',
      '\xe9',
    ].map((text) => target(text)),
    ...['/weather/v1/a b', ' /weather/v1/a', '/weather/v1/a ', '/weather/v1/\xe9', '/weather/v1/a\x7f'].map((text) =>
      target(text),
    ),
    ...['/weather/v1/a#b', '/weather/v1/a#', '/weather/v1/a?x#y', '/weather/v1/#/../x'].map(down),
    ...[
      '/weather/v1/../v1/a',
      '/weather/v1/./a',
      '/weather/v1/%2e%2e/a',
      '/weather/v1/.%2E/a',
      '/weather/v1//a',
      '//weather/v1/a',
      '/weather/v1\\a',
    ].map(down),
    ...[
      '/weather/v1/%',
      '/weather/v1/%0',
      '/weather/v1/%zz',
      '/weather/v1/%00',
      '/weather/v1/a;x',
      '/weather/v1/a%3bx',
      '/weather/v1/%5c',
      '/weather/v1/%c0%ae',
    ].map(down),
    turnedDown('an encoded slash', head('GET /weather/v1/a%2fb HTTP/1.1')),
    served('an encoded line end stays encoded', head('GET /weather/v1/a%0d%0aX:%20y%20HTTP/1.1 HTTP/1.1'), [
      { method: 'GET', path: '/a%0d%0aX:%20y%20HTTP/1.1', fields: { x: null } },
    ]),
    served('a query may be anything that is visible', head('GET /weather/v1/a?http://b/../;\\"<>{}|^`%zz HTTP/1.1'), [
      { method: 'GET', path: '/a?http://b/../;\\"<>{}|^`%zz' },
    ]),
    refused('CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 501),
    refused('CONNECT with a path', 'CONNECT /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n', 501),
    refused('OPTIONS of everything', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'),
  ],
};
