// Writes the documents that are made from the code, and the alert rules into the charts: a chart holds its files itself, as not
// every way of getting it keeps symbolic links. Needs a build: `npm run docs` makes it first. With --check it writes nothing, and
// fails where something is not current. With --pictures it also takes those of the README: they differ from time to time.
import { readFileSync, writeFileSync } from 'node:fs';
import { applySchema } from '../dist/apps/master/src/apply/apply-schema.js';
import { errorsDocument } from '../dist/libs/model/src/errors-document.js';
import { cliDocument } from './cli-reference.mjs';

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const rules = read('docker/prometheus/rules.yml');
const made = {
  'docs/errors.md': errorsDocument(),
  'docs/apply.schema.json': applySchema(),
  'docs/cli.md': await cliDocument(),
  'deploy/helm/heliograph-master/files/rules.yml': rules,
  'deploy/helm/heliograph-replica/files/rules.yml': rules,
};
if (process.argv.includes('--pictures')) {
  const { makePictures } = await import('./pictures.mjs');
  Object.assign(made, await makePictures());
}
const check = process.argv.includes('--check');
for (const [name, text] of Object.entries(made)) {
  if (!check) writeFileSync(new URL(`../${name}`, import.meta.url), text);
  else if (read(name) !== text) {
    console.error(`${name} is not current: npm run docs`);
    process.exitCode = 1;
  }
}
