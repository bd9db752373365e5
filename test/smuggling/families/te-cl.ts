import { type Family, post, refused, SMUGGLED } from '../case.js';

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

/** Both framings at once: the front goes by the chunks, the back by the length. */
export const teCl: Family = {
  name: 'TE.CL',
  cases: [
    refused(
      'a chunk is a request to whom reads the length',
      post(['Transfer-Encoding: chunked', 'Content-Length: 4'], chunk(SMUGGLED)),
    ),
    refused(
      'the length covers the size of the first chunk only',
      post(['Transfer-Encoding: chunked', 'Content-Length: 3'], chunk('x')),
    ),
    refused(
      'the length is longer than the chunks',
      post(['Transfer-Encoding: chunked', 'Content-Length: 400'], chunk('x')),
    ),
    refused('the length is none', post(['Transfer-Encoding: chunked', 'Content-Length: x'], chunk('x'))),
    refused('the length is empty', post(['Transfer-Encoding: chunked', 'Content-Length:'], chunk('x'))),
    refused(
      'two lengths beside it',
      post(['Content-Length: 4', 'Transfer-Encoding: chunked', 'Content-Length: 4'], chunk('x')),
    ),
    refused('the length has an underscore', post(['Transfer-Encoding: chunked', 'Content_Length: 4'], chunk('x'))),
    refused('the coding has an underscore', post(['Transfer_Encoding: chunked', 'Content-Length: 4'], chunk('x'))),
  ],
};
