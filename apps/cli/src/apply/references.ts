import type { Environment } from '../config/environment.js';
import { inDirectoryOf, isObject, readText, type YamlDocument } from './yaml-files.js';

/** Where members are called as somebody likes, `env` too: environments, regions, headers. */
const OWN_NAMES =
  /^\/serve$|\/upstream\/regions$|\/policies\/(?:(?:request|response)Headers\/(?:set|add)|mock\/headers)$/;

export interface Resolving {
  env: Environment['all'];
  /** what references stand for */
  secrets: Set<string>;
  /** @param pointer into the document */
  fault: (document: YamlDocument, pointer: string, problem: string) => void;
}

/** Whether what stands there can be no reference: the names of its members are no fields. */
export function hasOwnNames(pointer: string): boolean {
  return OWN_NAMES.test(pointer);
}

/** A document with what its references stand for in their places; null where that is not to be had. */
export function resolved(document: YamlDocument, { env, secrets, fault }: Resolving): unknown {
  const inside = (value: Record<string, unknown>, pointer: string): unknown =>
    Object.fromEntries(
      Object.entries(value).map(([key, member]) => [
        key,
        at(member, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
      ]),
    );
  const at = (value: unknown, pointer: string): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => at(item, `${pointer}/${index}`));
    if (!isObject(value) || pointer === '/openapi') return value; // nothing of that is Heliograph's
    const reference = hasOwnNames(pointer) ? null : referenceIn(value);
    if (!reference) return inside(value, pointer);
    try {
      const text = textOf(reference, document.file, env);
      secrets.add(text);
      return text;
    } catch (error) {
      fault(document, pointer, (error as Error).message);
      return null;
    }
  };
  return at(document.value, '');
}

type Reference = { env: string } | { file: string };

function referenceIn(value: Record<string, unknown>): Reference | null {
  const keys = Object.keys(value);
  const [key = ''] = keys;
  return keys.length === 1 && (key === 'env' || key === 'file') && typeof value[key] === 'string'
    ? (value as Reference)
    : null;
}

function textOf(reference: Reference, file: string, env: Environment['all']): string {
  if ('file' in reference) return readText(inDirectoryOf(file, reference.file)).replace(/\r?\n$/, '');
  const value = env[reference.env];
  if (value === undefined) throw new Error(`the environment variable ${reference.env} is not set`);
  return value;
}
