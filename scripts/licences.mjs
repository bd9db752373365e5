// `node scripts/licences.mjs [report.csv] [package-lock.json]`: holds every package that the lock file names, those of other platforms
// included, to the licences below, and writes them all down, with the images that have them. A licence that is not among them is
// somebody's decision to make. Our own lock file needs the build in dist/, which says what is in an image.
import { readFileSync, writeFileSync } from 'node:fs';
import { IMAGES, imagePackages } from './image-packages.mjs';

/** What may be shipped: permissive, and known to be fit for any use. */
const SHIPPED = ['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT'];
/** What may build and test, and is not shipped, also: MPL-2.0 asks for the sources of changed files alone. */
const TOOLS = [...SHIPPED, 'CC0-1.0', 'MPL-2.0', 'Python-2.0', 'Unlicense'];

const [report, lock] = process.argv.slice(2);
const inImages = lock
  ? []
  : Object.entries(IMAGES).map(([image, { app }]) => ({
      image,
      places: new Set(Object.values(imagePackages(app)).flat()),
    }));
const packages = Object.entries(JSON.parse(readFileSync(lock ?? 'package-lock.json', 'utf8')).packages)
  .filter(([path]) => path !== '')
  .map(([path, { version, license = 'none', dev = false, devOptional = false }]) => {
    const images = inImages.filter(({ places }) => places.has(path)).map(({ image }) => image);
    return {
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license,
      use: (dev || devOptional) && images.length === 0 ? 'build and test' : 'shipped',
      images: images.join(' '),
    };
  });

for (const { name, version, licence, use } of packages) {
  if (isFit(licence, use === 'shipped' ? SHIPPED : TOOLS)) continue;
  console.error(`${name} ${version} (${use}): the licence "${licence}" is not one of those in scripts/licences.mjs`);
  process.exitCode = 1;
}
const lines = packages.map((each) => [each.name, each.version, each.licence, each.use, each.images].join(',')).sort();
const text = ['package,version,licence,use,images', ...new Set(lines), ''].join('\n');
if (report) writeFileSync(report, text);
console.log(`${packages.length} packages: ${tally()}`);

/** Of an SPDX expression: one of those that `OR` joins, with all of those that `AND` joins. What is nested is not known here. */
function isFit(expression, allowed) {
  const alternatives = String(expression)
    .replace(/^\((.*)\)$/, '$1')
    .split(' OR ');
  return alternatives.some((one) => one.split(' AND ').every((licence) => allowed.includes(licence)));
}

function tally() {
  const counts = new Map();
  for (const { licence } of packages) counts.set(licence, (counts.get(licence) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([licence, count]) => `${count} ${licence}`)
    .join(', ');
}
