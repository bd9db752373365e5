import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeCertificate, type TestCertificate } from '#harness';
import { createLog } from '#platform';
import { CertificateWatch } from './certificate-watch.js';

const [A, B] = [makeCertificate({ names: ['a.example.com'] }), makeCertificate({ names: ['b.example.com'] })];
const log = createLog('test', 'silent');
let directory: string;
let changes = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'helio-tls-'));
  changes = 0;
});
afterEach(() => rmSync(directory, { recursive: true }));

function write({ cert, key }: TestCertificate, name = 'tls', where = directory): void {
  mkdirSync(where, { recursive: true });
  writeFileSync(join(where, `${name}.crt`), cert);
  writeFileSync(join(where, `${name}.key`), key);
}

function watch(setting = directory): CertificateWatch {
  const made = new CertificateWatch(setting, log);
  made.onChange = () => (changes += 1);
  return made;
}

const names = (one: CertificateWatch): string[] => one.certificates.flatMap((certificate) => certificate.names);

describe('CertificateWatch', () => {
  it('takes what is new, and says so once', () => {
    write(A);
    const one = watch();
    one.look();
    expect([names(one), changes]).toEqual([['a.example.com'], 0]);
    write(B);
    one.look();
    one.look();
    expect([names(one), changes]).toEqual([['b.example.com'], 1]);
  });

  it('takes a link that points elsewhere, as Kubernetes swaps secrets', () => {
    write(A, 'tls', join(directory, 'first'));
    write(B, 'tls', join(directory, 'second'));
    symlinkSync('first', join(directory, 'data'));
    const one = watch(join(directory, 'data'));
    symlinkSync('second', join(directory, 'next'));
    renameSync(join(directory, 'next'), join(directory, 'data'));
    one.look();
    expect(names(one)).toEqual(['b.example.com']);
  });

  it.each([
    ['a key of another certificate', () => write({ cert: B.cert, key: A.key })],
    ['half a certificate', () => write({ cert: B.cert.slice(0, 200), key: B.key })],
    ['an empty key', () => write({ cert: B.cert, key: '' })],
    ['no key at all', () => rmSync(join(directory, 'tls.key'))],
    ['no file at all', () => rmSync(directory, { recursive: true })],
  ])('G4 keeps what it has for %s, says why when it stays so, and goes on when it is mended', (_, breakIt) => {
    write(A);
    const one = watch();
    breakIt();
    one.look();
    expect(one.status[0]?.fault).toBeNull(); // somebody may just be at it
    one.look();
    expect(one.status[0]?.fault).toMatch(/tls\.(?:key|crt)|no pair|cannot be read/);
    expect(one.status[0]?.fault).not.toMatch(/BEGIN|MII/);
    expect([names(one), changes]).toEqual([['a.example.com'], 0]);
    write(B);
    one.look();
    expect([names(one), one.status[0]?.fault, changes]).toEqual([['b.example.com'], null, 1]);
  });

  it('never logs a key', () => {
    write(A);
    const out = new PassThrough();
    const told = { ...log, error: (...said: unknown[]) => out.write(JSON.stringify(said)) } as typeof log;
    const one = new CertificateWatch(directory, { ...told, info: told.error });
    write({ cert: B.cert, key: A.key });
    one.look();
    one.look();
    write(B);
    one.look();
    const text = String(out.read());
    expect(text).toContain('is not the private key of');
    expect(text).toContain('b.example.com');
    expect(text).not.toMatch(/PRIVATE/);
  });

  it('takes several entries, pairs of files among them, and leaves certificates without a key alone', () => {
    write(A, 'a');
    writeFileSync(join(directory, 'ca.crt'), B.cert);
    write(B, 'b', join(directory, 'more'));
    const more = join(directory, 'more');
    expect(names(watch(`${directory}, ${more}/b.crt:${more}/b.key`))).toEqual(['a.example.com', 'b.example.com']);
  });

  it.each([
    ['/nowhere', /cannot be read: ENOENT/],
    ['a:b:c', /neither a directory nor a pair/],
  ])('does not begin with %s', (setting, message) => {
    expect(() => watch(setting)).toThrow(message);
  });
});
