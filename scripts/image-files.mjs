// `node scripts/image-files.mjs master|replica|cli <directory>`: what an image of that app has to have, and nothing else: its bundle,
// of node_modules what the bundle leaves outside, and the licences of what it has inside.
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { APPS } from './bundle.mjs';
import { imagePackages } from './image-packages.mjs';

/** For people, compilers and browsers. */
const NOT_RUN = /\.(map|[cm]?ts|md|markdown|c|cc|cpp|h|hpp)$|\/typeorm\/browser$/;
const LICENCE = /^(licen[cs]e|notice|copying)/i;

const [app, into] = process.argv.slice(2);
const folder = `apps/${app}/src`;
const { name, version, license } = JSON.parse(readFileSync('package.json', 'utf8'));

const shared = readdirSync(`dist/${folder}`).filter((file) => /^bundle\d*\..*\.js$/.test(file));
for (const file of [...APPS[folder].entries.map((entry) => `${entry}.js`), ...shared]) copy(`dist/${folder}/${file}`);
const { copied, bundled } = imagePackages(app);
for (const place of copied) copy(place);
// They ask to go along with every copy of the code.
for (const place of bundled)
  for (const file of readdirSync(place).filter((each) => LICENCE.test(each)))
    copy(join(place, file), join('licences', place.replaceAll('node_modules/', ''), file));
copy('LICENSE');
writeFileSync(join(into, 'package.json'), `${JSON.stringify({ name, version, license, type: 'module' }, null, 2)}\n`);

function copy(path, as = path) {
  mkdirSync(dirname(join(into, as)), { recursive: true });
  const isWanted = (file) => LICENCE.test(basename(file)) || !NOT_RUN.test(file);
  const filter = (file) => isWanted(file) && !file.slice(path.length).includes('node_modules');
  cpSync(path, join(into, as), { recursive: true, filter });
}
