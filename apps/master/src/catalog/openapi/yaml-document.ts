import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  type YAMLMap,
} from 'yaml';
import { invalid } from './faults.js';
import { type JsonObject, type Place, placeText, shorten } from './place.js';
import { YamlGuard } from './yaml-guard.js';

interface YamlDocument {
  value: unknown;
  linesOf: (places: Place[]) => (number | undefined)[];
}

const OPTIONS = {
  schema: 'core',
  version: '1.2',
  resolveKnownTags: false,
  stringKeys: true,
  uniqueKeys: false, // takes the square of the keys' number; PlainValues looks for them
  logLevel: 'silent',
} as const;

/**
 * Reads one YAML 1.2 document as OpenAPI allows it: the JSON types, keys of text, no key twice, no tags of its own. An
 * alias is the very value that it refers to, not a copy, so that aliases of aliases cost nothing; who walks over the
 * value must count on that.
 *
 * @throws HelioError `openapi_invalid` with the line
 */
export function readYaml(text: string): YamlDocument {
  const lines = new LineCounter();
  const lineOf = (offset: number): number => lines.linePos(offset).line;
  const document = compose(text, lines);
  const value = new PlainValues(lineOf).of(document.contents, []);
  return { value, linesOf: (places) => places.map((place) => lineOfPlace(document, place, lineOf)) };
}

function compose(text: string, lines: LineCounter): Document.Parsed {
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer(OPTIONS);
  const guard = new YamlGuard();
  const documents: Document.Parsed[] = [];
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    const problem = guard.check(lexeme);
    if (problem !== undefined) throw unreadable(`line ${lines.linePos(parser.offset).line}`, problem);
    for (const token of parser.next(lexeme)) {
      if (token.type === 'error')
        throw unreadable(`line ${lines.linePos(token.offset).line}`, shorten(token.message, 300));
      documents.push(...composer.next(token));
    }
    if (documents.length > 1) break;
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end(true, text.length));
  const [document, second] = documents;
  if (document === undefined || second !== undefined) {
    throw unreadable('(whole)', 'has several documents, apart by ---', 'one document');
  }
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault) {
    const problem = fault.code === 'RESOURCE_EXHAUSTION' ? 'is nested too deeply' : shorten(fault.message, 300);
    throw unreadable(`line ${lines.linePos(fault.pos[0]).line}`, problem);
  }
  return document;
}

function unreadable(field: string, problem: string, expected?: string): Error {
  return invalid('The document is not YAML that can be read.', [
    { field, problem, ...(expected !== undefined && { expected }) },
  ]);
}

/**
 * Makes plain values of YAML's nodes; yaml's own toJS takes the square of the aliases' number, and keeps the last of
 * two equal keys.
 */
class PlainValues {
  private readonly anchors = new Map<string, unknown>();

  constructor(private readonly lineOf: (offset: number) => number) {}

  of(node: Node | null, place: Place): unknown {
    if (node === null) return null;
    if (isAlias(node)) {
      if (this.anchors.has(node.source)) return this.anchors.get(node.source);
      throw this.fault(
        node,
        place,
        `has an alias *${shorten(node.source, 100)} without an anchor before it, or inside of it`,
      );
    }
    let value: unknown = null;
    if (isScalar(node)) value = node.value;
    else if (isSeq<Node | null>(node)) value = node.items.map((item, index) => this.of(item, [...place, index]));
    else if (isMap<Node, Node | null>(node)) value = this.object(node, place);
    if ('anchor' in node && node.anchor !== undefined) this.anchors.set(node.anchor, value);
    return value;
  }

  private object(map: YAMLMap<Node, Node | null>, place: Place): JsonObject {
    const object: JsonObject = {};
    for (const { key, value } of map.items) {
      if (!isScalar(key) || typeof key.value !== 'string')
        throw this.fault(key, place, 'has a key that is not plain text');
      const at = [...place, key.value];
      if (key.value === '<<')
        throw this.fault(key, place, 'has a merge key (<<), which YAML 1.2 does not know; write the fields out');
      if (Object.hasOwn(object, key.value)) throw this.fault(key, at, 'comes twice');
      // not an assignment: that would set the prototype for the key __proto__
      Object.defineProperty(object, key.value, {
        value: this.of(value, at),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return object;
  }

  private fault(node: Node, place: Place, problem: string): Error {
    const line = node.range ? ` (line ${this.lineOf(node.range[0])})` : '';
    return unreadable(placeText(place), `${problem}${line}`);
  }
}

function lineOfPlace(document: Document.Parsed, place: Place, lineOf: (offset: number) => number): number | undefined {
  let node: unknown = document.contents;
  let line: number | undefined;
  for (const part of place) {
    let at: unknown;
    if (isMap<Node, Node | null>(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === part);
      at = pair?.key;
      node = pair?.value;
    } else if (isSeq(node) && typeof part === 'number') {
      at = node = node.items[part];
    }
    const range = (at as Node | undefined)?.range;
    if (!range) return line;
    line = lineOf(range[0]);
  }
  return line;
}
