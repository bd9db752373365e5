import { styleText } from 'node:util';

type Paint = (text: string) => string;
export type Tone = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
export type Style = Readonly<Record<Tone, Paint>>;

const plain: Paint = (text) => text;

/** Colours, or none. */
export function styleFor(colours: boolean): Style {
  const paint = (tone: Tone): Paint => (colours ? (text) => styleText(tone, text) : plain);
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  };
}

// C0 and C1 controls, and the marks that turn the direction of what follows
// oxlint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** JSON says the same with these as escapes, and obeys nothing: the controls below U+0020 are escapes in it already. */
export function safeJson(text: string): string {
  return text.replace(UNSEEN, (one) => (one === '\n' ? one : `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`));
}

/** Lines that others have written, without anything that a terminal would obey. */
export function visibleLines(text: string): string {
  return text.replace(UNSEEN, (one) => (one === '\n' || one === '\t' ? one : '\ufffd'));
}

/** What others have written, on one line and without anything that a terminal would obey. */
export function visible(text: string): string {
  return text.replace(UNSEEN, '\ufffd');
}
