import { type Family, post, PROBE, refused, SMUGGLED } from '../case.js';

/** Both framings at once: the front goes by the length, the back by the chunks. */
export const clTe: Family = {
  name: 'CL.TE',
  cases: [
    refused(
      'the rest of the length is a request to whom reads chunks',
      post([`Content-Length: ${5 + SMUGGLED.length}`, 'Transfer-Encoding: chunked'], `0\r\n\r\n${SMUGGLED}`),
    ),
    refused(
      'the length ends within the next request',
      post(['Content-Length: 6', 'Transfer-Encoding: chunked'], '0\r\n\r\nG'),
    ),
    refused('the length is zero', post(['Content-Length: 0', 'Transfer-Encoding: chunked'], `0\r\n\r\n`)),
    refused('both would agree', post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
    refused('the coding is in other letters', post(['Content-Length: 5', 'tRANSFER-eNCODING: CHUNKED'], '0\r\n\r\n')),
    refused(
      'other fields stand between them',
      post(['Content-Length: 5', 'X: y', 'Z:', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    ),
    refused(
      'the length is nominated by Connection',
      post(['Connection: content-length', 'Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    ),
    refused(
      'the coding is nominated by Connection',
      post(['Connection: transfer-encoding', 'Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    ),
    refused(
      'with GET',
      `GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${PROBE.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ),
    refused(
      'in HTTP/1.0',
      `POST /weather/v1/a HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ),
  ],
};
