// Which packages there are in the image of an app: those that are in its bundle, and those that lie beside it.
import { existsSync, readFileSync } from 'node:fs';
import { APPS } from './bundle.mjs';

/** By the target of docker/Dockerfile: the app's folder, and what the image is called. */
export const IMAGES = {
  master: { app: 'master', title: 'heliograph-master' },
  replica: { app: 'replica', title: 'heliograph-replica' },
  helio: { app: 'cli', title: 'helio' },
};

const { dependencies } = read('package.json');
/** By place, `node_modules/a/node_modules/b`. */
export const { packages } = read('package-lock.json');

/**
 * The packages of an image by their places, as the lock file says them. Needs the build in dist/.
 *
 * @param {string} app
 * @returns `copied`: what the bundle leaves outside, with what that needs; `bundled`: what it has something of, and is not copied
 */
export function imagePackages(app) {
  const folder = `apps/${app}/src`;
  const copied = new Set();
  for (const root of Object.keys(dependencies).filter((each) => APPS[folder].elsewhere.test(each)))
    take(root, '', copied);
  const bundled = read(`dist/${folder}/bundled.json`).filter((place) => !copied.has(place));
  return { copied: [...copied].sort(), bundled };
}

/** A package as the one at `from` finds it, and whatever it needs; what is optional may not be there for this platform. */
function take(wanted, from, taken, isOptional = false) {
  const at = whereIs(wanted, from);
  if (at === undefined || !existsSync(at)) {
    if (isOptional) return;
    throw new Error(`${from || 'the bundle'} needs ${wanted}, which is not installed`);
  }
  if (taken.has(at)) return;
  taken.add(at);
  const { dependencies: needed = {}, optionalDependencies: optional = {}, peerDependencies: peers = {} } = packages[at];
  for (const each of Object.keys(needed)) take(each, at, taken, each in optional);
  for (const each of Object.keys(optional)) take(each, at, taken, true);
  // A peer that is not optional is installed, for npm saw to that; others are taken where the bundle itself asks for them.
  for (const each of Object.keys(peers))
    if (!packages[at].peerDependenciesMeta?.[each]?.optional) take(each, at, taken);
}

/** As Node looks for it: beside the one that asks, then further up. */
export function whereIs(wanted, from) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const here = `${at && `${at}/`}node_modules/${wanted}`;
    if (here in packages) return here;
    if (at === '') return undefined;
  }
}

function read(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
