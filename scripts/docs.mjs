// Writes the documents that are printed from the code. Needs a build: `npm run docs` makes it first.
import { writeFileSync } from 'node:fs';
import { errorsDocument } from '../dist/libs/model/src/errors-document.js';

writeFileSync(new URL('../docs/errors.md', import.meta.url), errorsDocument());
