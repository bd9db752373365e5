// Writes the documents that are made from the code. Needs a build: `npm run docs` makes it first. With --check it writes nothing,
// and fails where something is not current. With --pictures it also takes those of the README: they differ from time to time.
import { readFileSync, writeFileSync } from 'node:fs';
import { applySchema } from '../dist/apps/master/src/apply/apply-schema.js';
import { errorsDocument } from '../dist/libs/model/src/errors-document.js';
import { cliDocument } from './cli-reference.mjs';

const made = {
  'docs/errors.md': errorsDocument(),
  'docs/apply.schema.json': applySchema(),
  'docs/cli.md': await cliDocument(),
};
if (process.argv.includes('--pictures')) {
  const { makePictures } = await import('./pictures.mjs');
  Object.assign(made, await makePictures());
}
const check = process.argv.includes('--check');
for (const [name, text] of Object.entries(made)) {
  const file = new URL(`../${name}`, import.meta.url);
  if (!check) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`${name} is not current: npm run docs`);
    process.exitCode = 1;
  }
}
