import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Home } from './home.js';

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-home-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  return dir;
}

describe('Home', () => {
  it('makes the secrets once, for this user only', () => {
    const root = join(newDir(), 'a', 'home');
    const first = new Home(root);
    const secrets = first.secrets();
    const signingKey = readFileSync(first.signingKey, 'utf8');
    first.keep({ ...secrets, demos: { prod: { key: 'k', upstream: 'u' } } });
    const second = new Home(root);
    expect(second.secrets()).toEqual({ ...secrets, demos: { prod: { key: 'k', upstream: 'u' } } });
    expect(readFileSync(second.signingKey, 'utf8')).toBe(signingKey);
    for (const name of ['secrets.json', 'signing-key.pem']) expect(statSync(join(root, name)).mode & 0o777).toBe(0o600);
  });

  it("takes no directory that is somebody else's", () => {
    const root = newDir();
    writeFileSync(join(root, 'thesis.txt'), '');
    expect(() => new Home(root)).toThrow(`HELIO_HOME: ${root} is not empty and was not made by npm start`);
    expect(readdirSync(root)).toEqual(['thesis.txt']);
    expect(() => new Home(join(root, 'thesis.txt'))).toThrow(/HELIO_HOME: .*thesis.txt cannot be used: ENOTDIR/);
  });

  it('clears what it has made and leaves the rest', () => {
    const home = new Home(newDir());
    home.secrets();
    home.newLog('master');
    mkdirSync(home.stateOf('eu-west'), { recursive: true });
    writeFileSync(join(home.root, 'notes'), '');
    home.clear();
    expect(readdirSync(home.root).sort()).toEqual(['HELIOGRAPH.txt', 'notes']);
  });

  it('begins each log anew and keeps the one before', () => {
    const home = new Home(newDir());
    writeFileSync(home.newLog('master'), 'first');
    writeFileSync(home.newLog('master'), 'second');
    home.newLog('master');
    expect(readdirSync(join(home.root, 'logs')).sort()).toEqual(['master.log', 'master.log.1']);
    expect(readFileSync(join(join(home.root, 'logs'), 'master.log.1'), 'utf8')).toBe('second');
  });

  it('says which file is damaged', () => {
    const home = new Home(newDir());
    writeFileSync(join(home.root, 'secrets.json'), '{"adminToken":');
    expect(() => home.secrets()).toThrow(/secrets\.json is damaged; npm start -- --fresh begins anew/);
  });
});
