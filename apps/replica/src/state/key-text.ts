import { applicationIdOf, TABLE } from '#model';

const MAX_TEXT = 512;

/** An entry's key for people: text where it is text, a UUID for an application, else hexadecimal. */
export function keyText(table: number, key: Buffer): string {
  if (table === TABLE.application && key.length === 16) return applicationIdOf(key);
  const text = key.toString('utf8');
  const isText =
    (table === TABLE.placement || table === TABLE.plan || table === TABLE.setting || table === TABLE.jwks) &&
    /^[\x21-\x7e]+$/.test(text);
  return (isText ? text : key.toString('hex')).slice(0, MAX_TEXT);
}
