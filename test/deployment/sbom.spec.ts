import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from '#harness';

interface Bill {
  metadata: { component: { name: string; version: string } };
  components: {
    name: string;
    version: string;
    purl: string;
    hashes: { content: string }[];
    properties: { value: string }[];
  }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'heliograph-sbom-'));
afterAll(() => rmSync(directory, { recursive: true }));

const IMAGES = [
  ['master', 'master', 'heliograph-master'],
  ['replica', 'replica', 'heliograph-replica'],
  ['helio', 'cli', 'helio'],
] as const;

function run(script: string, ...args: string[]): void {
  const made = spawnSync(process.execPath, [`scripts/${script}`, ...args], { cwd: ROOT, encoding: 'utf8' });
  expect(made).toMatchObject({ status: 0, stderr: '' });
}

/** `name version` of a directory of node_modules. */
function told(place: string): string {
  const { name, version } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as Record<string, string>;
  return `${name} ${version}`;
}

/** Of a directory and all below it: the packages that npm has put there. */
function installed(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(^|\/)node_modules\/(@[^/]+\/)?[^/@]+\/package\.json$/.test(file))
    .map((file) => told(join(folder, dirname(file))));
}

/** What the maps of a bundle say that its code comes from. */
function mapped(app: string): string[] {
  const folder = join(ROOT, 'dist/apps', app, 'src');
  const bundles = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js.map'))
    .flatMap((file) => {
      const { sources } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { sources: string[] };
      return sources;
    });
  const places = bundles.map(
    (source) => /(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1],
  );
  return [...new Set(places.filter((place) => place !== undefined))];
}

/** Modules that only pass on what others have leave nothing behind that a map could tell of. */
const PASSES_ON = /^@inquirer\/prompts /;
const sorted = (names: readonly string[]): string[] => [...new Set(names)].toSorted();

beforeAll(() => {
  build();
  run('sbom.mjs', directory);
});

describe.each(IMAGES)('the list of what is in the image %s', (image, app, title) => {
  const into = join(directory, image);
  let bill: Bill;
  beforeAll(() => {
    run('image-files.mjs', app, into);
    bill = JSON.parse(readFileSync(join(directory, `sbom-${image}.cdx.json`), 'utf8')) as Bill;
  });
  const listed = (where: string): string[] =>
    bill.components
      .filter(({ properties }) => properties[0]?.value === where)
      .map(({ name, version }) => `${name} ${version}`);

  it('is called as the image, with the version of package.json, wherever the checkout lies', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(bill.metadata.component).toMatchObject({ name: title, version });
  });

  it('lists the packages that are there, and no other', () => {
    const beside = installed(into);
    expect(sorted(listed('node_modules'))).toEqual(sorted(beside));
    const inside = mapped(app).map((place) => told(join(ROOT, place)));
    expect(sorted(listed('bundle').filter((each) => !PASSES_ON.test(each)))).toEqual(
      sorted(inside.filter((each) => !beside.includes(each))),
    );
    expect(bill.components.length).toBeGreaterThan(5);
  });

  it('has a hash of each, and names none that it does not list as what another one needs', () => {
    for (const { purl, hashes } of bill.components)
      expect([purl, hashes[0]?.content]).toEqual([purl, expect.stringMatching(/^[0-9a-f]{128}$/)]);
    const refs = new Set(bill.components.map(({ purl }) => purl));
    for (const { dependsOn } of bill.dependencies) for (const ref of dependsOn) expect(refs).toContain(ref);
    expect(bill.dependencies.length).toBe(bill.components.length + 1);
  });

  it('goes with the licences of all of them', () => {
    const licences = (folder: string): string[] =>
      readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
    for (const place of mapped(app))
      for (const file of licences(join(ROOT, place))) {
        const [copied, inside] = [
          join(into, place, file),
          join(into, 'licences', place.replaceAll('node_modules/', ''), file),
        ];
        expect([place, existsSync(copied) || existsSync(inside)]).toEqual([place, true]);
      }
    for (const place of readdirSync(join(into, 'node_modules')).filter((name) => !name.startsWith('@')))
      for (const file of licences(join(ROOT, 'node_modules', place)))
        expect(existsSync(join(into, 'node_modules', place, file)), `${place}/${file}`).toBe(true);
  });
});
