import { CST } from 'yaml';

/** About 300 bytes of heap and 2 us each; GitHub's document has 1.7 million in 10 MB. */
const MAX_TOKENS = 2_500_000;
/** Anchors, aliases and tags: resolving them takes the square of the time. */
const MAX_MARKS = 10_000;
const MAX_FLOW_DEPTH = 200;

const OPENS: Partial<Record<string, string>> = { 'flow-map-end': 'flow-map-start', 'flow-seq-end': 'flow-seq-start' };
/** What may stand between a `?` and its key. */
const BEFORE_KEY = new Set(['anchor', 'tag']);
const FLOW_VALUE_NEXT = new Set(['flow-map-start', 'flow-seq-start', 'comma']);

/**
 * Looks at each token before the parser does and finds what the parser would spend unbounded time or memory on: it goes
 * on after every error, and takes the square of the time for brackets that close nothing and for keys inside of keys.
 */
export class YamlGuard {
  private tokens = 0;
  private marks = 0;
  private readonly flow: string[] = [];
  private inScalar = false;
  private afterQuestionMark = false;
  /** the last token that was not blank */
  private last: string | null = null;

  /** @returns what is wrong, if anything */
  check(lexeme: string): string | undefined {
    this.tokens += 1;
    if (this.tokens > MAX_TOKENS) return `is more than ${MAX_TOKENS} tokens of YAML; JSON has no such bound`;
    if (this.inScalar) {
      this.inScalar = false;
      return undefined;
    }
    const type = CST.tokenType(lexeme);
    if (type === null || type === 'space' || type === 'newline' || type === 'comment') return undefined;
    const problem = this.afterQuestionMark ? this.checkKey(type) : undefined;
    const last = this.last;
    this.last = type;
    return problem ?? this.checkType(type, lexeme, last);
  }

  private checkKey(type: string): string | undefined {
    if (BEFORE_KEY.has(type)) return undefined;
    this.afterQuestionMark = false;
    return type.endsWith('scalar') ? undefined : 'has a key that is not plain text';
  }

  private checkType(type: string, lexeme: string, last: string | null): string | undefined {
    switch (type) {
      case 'scalar': // a marker: the text itself comes next
        this.inScalar = true;
        return undefined;
      case 'explicit-key-ind':
        this.afterQuestionMark = true;
        return undefined;
      case 'anchor':
      case 'alias':
      case 'tag':
        this.marks += 1;
        return this.marks > MAX_MARKS ? `has more than ${MAX_MARKS} anchors, aliases and tags` : undefined;
      case 'flow-map-start':
      case 'flow-seq-start':
        this.flow.push(type);
        return this.flow.length > MAX_FLOW_DEPTH ? `is nested more than ${MAX_FLOW_DEPTH} deep` : undefined;
      case 'flow-map-end':
      case 'flow-seq-end':
        return this.flow.pop() === OPENS[type] ? undefined : `has a ${lexeme} that closes nothing`;
      case 'comma':
        return last !== null && FLOW_VALUE_NEXT.has(last) ? 'has a comma that follows nothing' : undefined;
      default:
        return undefined;
    }
  }
}
