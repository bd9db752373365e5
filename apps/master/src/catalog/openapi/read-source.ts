import { invalid } from './faults.js';
import { duplicateKeys, lineAt, offsetsOf } from './json-keys.js';
import { describe, isObject, type JsonObject, type Place, placeText } from './place.js';
import { readYaml } from './yaml-document.js';

interface Source {
  root: JsonObject;
  /** lines of places in the text; undefined for those without, and for what was not text */
  linesOf: (places: Place[]) => (number | undefined)[];
}

const MAX_DUPLICATES = 50;
/** YAML costs about 300 ms of the event loop per MB, 25 times as much as JSON. */
const MAX_YAML_CHARACTERS = 4 * 1024 * 1024;

/**
 * Text that begins with { or [ is read as JSON, other text as YAML, bytes as UTF-8; an object is taken as it is and
 * must be what JSON can say.
 *
 * @throws HelioError `openapi_invalid`
 */
export function readSource(document: string | Uint8Array | object): Source {
  const source =
    typeof document === 'string' || document instanceof Uint8Array
      ? readText(textOf(document))
      : { value: document, linesOf: noLines };
  if (!isObject(source.value))
    throw wholeFault(`is ${describe(source.value)}`, 'an object with openapi, info and paths');
  return { root: source.value, linesOf: source.linesOf };
}

function textOf(document: string | Uint8Array): string {
  if (typeof document === 'string') return document.replace(/^\uFEFF/, '');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(document);
  } catch {
    throw wholeFault('is not UTF-8 text', 'JSON or YAML in UTF-8');
  }
}

function readText(text: string): { value: unknown; linesOf: Source['linesOf'] } {
  const begin = /\S/.exec(text)?.[0];
  if (begin === undefined) throw wholeFault('is empty', 'an OpenAPI document in JSON or YAML');
  if (begin === '<') throw wholeFault('begins with < as HTML and XML do', 'an OpenAPI document in JSON or YAML');
  if (begin === '{' || begin === '[') return readJson(text);
  if (text.length > MAX_YAML_CHARACTERS)
    throw wholeFault(
      `is YAML of more than ${MAX_YAML_CHARACTERS} characters`,
      'the same document as JSON, which may be larger',
    );
  return readYaml(text);
}

function readJson(text: string): { value: unknown; linesOf: Source['linesOf'] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const position = / at position (\d+)/.exec(message)?.[1];
    const line = position === undefined ? '' : ` (line ${lineAt(text, Number(position))})`;
    throw wholeFault(
      `begins with { or [ but is not JSON: ${message}${line}`,
      'valid JSON, or YAML that does not begin with a bracket',
    );
  }
  const duplicates = duplicateKeys(text, MAX_DUPLICATES);
  if (duplicates.length > 0) {
    throw invalid(
      'The document has keys that come twice in the same object, and only one of each could be used.',
      duplicates.map(({ place, offset }) => ({
        field: placeText(place),
        problem: `comes twice (line ${lineAt(text, offset)})`,
      })),
    );
  }
  return {
    value,
    linesOf: (places) =>
      offsetsOf(text, places).map((offset) => (offset === undefined ? undefined : lineAt(text, offset))),
  };
}

function noLines(places: Place[]): undefined[] {
  return places.map(() => undefined);
}

function wholeFault(problem: string, expected: string): Error {
  return invalid('The document cannot be read.', [{ field: '(whole)', problem, expected }]);
}
