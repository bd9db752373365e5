import { ERRORS } from './errors.js';

/** docs/errors.md, from the table of codes. */
export function errorsDocument(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, e]) => `| \`${code}\` | ${e.status} | ${e.title} | ${e.cause} | ${e.action} |`,
  );
  return [
    '# Error codes',
    '',
    'Every error of the master and of gateways is a problem document (RFC 9457) with one of these in `code`. A code never changes its',
    'meaning. Printed from [the table](../libs/model/src/errors.ts) by `npm run docs`; a test holds the two together.',
    '',
    '| code | status | title | cause | what to do |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
