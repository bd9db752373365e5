// `node scripts/sbom.mjs <directory>`: sbom-master.cdx.json, sbom-replica.cdx.json, sbom-helio.cdx.json: the packages that each image
// has in it, as CycloneDX. By the lock file alone, so that two of one commit are the same; npm's own list (`npm sbom`) has what is in
// no image, and calls the project by the folder that it lies in.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IMAGES, imagePackages, packages, whereIs } from './image-packages.mjs';

const [directory] = process.argv.slice(2);
const { version, license, dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
for (const [image, { app, title }] of Object.entries(IMAGES)) {
  const file = join(directory, `sbom-${image}.cdx.json`);
  const bom = billOf(title, imagePackages(app));
  writeFileSync(file, `${JSON.stringify(bom, null, 2)}\n`);
  console.log(`${file}: ${bom.components.length} packages`);
}

function billOf(title, { copied, bundled }) {
  const inBundle = new Set(bundled);
  const places = [...copied, ...bundled].sort();
  const ours = `${title}@${version}`;
  const refs = (names, from) => {
    const found = Object.keys(names ?? {}).map((each) => whereIs(each, from));
    return [...new Set(found.filter((place) => places.includes(place)).map(purlOf))].sort();
  };
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': ours,
        name: title,
        version,
        licenses: [{ license: { id: license } }],
      },
    },
    components: unique(
      places.map((place) => componentOf(place, inBundle.has(place))),
      'bom-ref',
    ),
    dependencies: [
      { ref: ours, dependsOn: refs(dependencies, '') },
      ...unique(
        places.map((place) => {
          const { dependencies: needed, optionalDependencies: optional, peerDependencies: peers } = packages[place];
          return { ref: purlOf(place), dependsOn: refs({ ...needed, ...optional, ...peers }, place) };
        }),
        'ref',
      ),
    ],
  };
}

function componentOf(place, isBundled) {
  const { version, license, integrity } = packages[place];
  const purl = purlOf(place);
  return {
    type: 'library',
    'bom-ref': purl,
    name: nameOf(place),
    version,
    // one name is an id of SPDX, several are an expression
    licenses: [/ /.test(license) ? { expression: license } : { license: { id: license } }],
    hashes: [hashOf(integrity)],
    purl,
    properties: [{ name: 'heliograph:in', value: isBundled ? 'bundle' : 'node_modules' }],
  };
}

/** The same version at two places is one component. */
function unique(items, key) {
  return [...new Map(items.map((item) => [item[key], item])).values()];
}

function nameOf(place) {
  return place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

function purlOf(place) {
  return `pkg:npm/${nameOf(place).replace('@', '%40')}@${packages[place].version}`;
}

/** @param integrity of the lock file: `sha512-<base64>` */
function hashOf(integrity) {
  const [, bits, base64] = /^sha(\d+)-(\S+)/.exec(integrity);
  return { alg: `SHA-${bits}`, content: Buffer.from(base64, 'base64').toString('hex') };
}
