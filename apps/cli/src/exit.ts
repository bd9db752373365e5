/** How this tool ends. Documented in docs/cli.md, and never changed: scripts live on them. */
export const EXIT = {
  ok: { code: 0, means: 'it is done' },
  failed: {
    code: 1,
    means: 'it failed, or the answer is no: `diff` found a difference, `verify` a fault, or no signature to check by',
  },
  usage: { code: 2, means: 'the command line, a file or a value is not valid; nothing was changed' },
  notFound: { code: 3, means: 'what was named does not exist' },
  refused: { code: 4, means: 'no token, one that is not valid, or one whose role may not do this' },
  unreachable: { code: 5, means: 'the master, or what else was asked, cannot be reached or does not answer properly' },
  conflict: { code: 6, means: 'it conflicts with what is there now: changed meanwhile, in use, already open' },
  interrupted: { code: 130, means: 'Ctrl-C, or a question was left unanswered' },
} as const;
export type Exit = keyof typeof EXIT;

/** Ends a command. Its text is shown on standard error, without a stack. */
export class CliError extends Error {
  readonly exit: Exit;
  /** more lines: which fields, which files */
  readonly lines: readonly string[];
  /** what to do next, as one sentence */
  readonly next?: string;
  /** whether the same may go well in a moment */
  readonly passing: boolean;

  constructor(
    message: string,
    more: { exit?: Exit; lines?: readonly string[]; next?: string; cause?: unknown; passing?: boolean } = {},
  ) {
    super(message, { cause: more.cause });
    this.name = 'CliError';
    this.exit = more.exit ?? 'failed';
    this.lines = more.lines ?? [];
    this.next = more.next;
    this.passing = more.passing ?? false;
  }
}
