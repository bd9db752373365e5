// `helio` with the token of the admin, which is in a file and not in an environment that `docker inspect` shows.
import { readFileSync } from 'node:fs';

process.env.HELIO_TOKEN = readFileSync('/secrets/operator/admin-token', 'utf8');
await import('/app/dist/apps/cli/src/main.js');
