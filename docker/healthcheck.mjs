// `node healthcheck.mjs master|replica [path]`: ends with 0 when the app in this container answers 200, for HEALTHCHECK.
// `/livez` unless told otherwise: a container that is only not ready gets no better by being replaced. Read from the
// environment as the app reads it; where ports or addresses stand in a file of HELIO_CONFIG, say the same in the environment.
import { get as getPlain } from 'node:http';
import { get as getTls } from 'node:https';

const [app, path = '/livez'] = process.argv.slice(2);
const { HELIO_BIND, HELIO_ADMIN_BIND, PORT, ADMIN_PORT, HELIO_ADMIN_CERTIFICATES } = process.env;
const isReplica = app === 'replica';
const port = isReplica ? ADMIN_PORT || 9180 : PORT || 8080;
const bound = (isReplica && HELIO_ADMIN_BIND) || HELIO_BIND || '0.0.0.0';
const host = ['0.0.0.0', '::'].includes(bound) ? '127.0.0.1' : bound;
// Its certificate is for the names that others know it by, not for this address.
const [get, more] = isReplica && HELIO_ADMIN_CERTIFICATES ? [getTls, { rejectUnauthorized: false }] : [getPlain, {}];

const request = get({ host, port, path, timeout: 4000, ...more }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
});
request.on('timeout', () => process.exit(1));
request.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
