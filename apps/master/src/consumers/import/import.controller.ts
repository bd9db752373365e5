import { Controller, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ERRORS, fail, type HelioError } from '#model';
import type { Logger } from '#platform';
import { z } from 'zod';
import { CurrentCaller } from '../../access/caller.decorator.js';
import { LOG } from '../../config/tokens.js';
import { ADMINS, endpoint, Route } from '../../http/endpoint.js';
import { asHelioError } from '../../http/problem.filter.js';
import { type Caller, type MasterRequest, ok } from '../../http/request.js';
import { type Carrier, revisionNames } from '../../writes/revision-waiter.js';
import { Writes } from '../../writes/writes.js';
import { AnswerSpool } from './answer-spool.js';
import { applyBatch } from './import-batch.js';
import { type ImportLine, KnownNames, parseImportLine } from './import-lines.js';
import type { LineOutcome } from './line-outcome.js';
import { type NumberedLine, splitLines } from './line-splitter.js';

const BATCH = 1000;
const MAX_LINE_BYTES = 64 * 1024;

export const importEndpoint = endpoint({
  method: 'POST',
  path: '/import',
  tag: 'import',
  summary: 'Bring in applications, subscriptions and keys, a line each',
  description: [
    'One JSON object a line (NDJSON), of any number of lines:',
    '`{"kind":"application","id":"crm","name":"CRM","owner":"sales"}`',
    '`{"kind":"subscription","application":"crm","api":"weather:v1","plan":"gold"}`',
    '`{"kind":"key","application":"crm","environment":"prod","sha256":"<64 hex digits>","expiresAt":"2030-01-01T00:00:00Z"}`',
    'The SHA-256 of the whole key is 64 hexadecimal digits or base64; or give `"secret"` instead: only its hash is kept. A key may have',
    "`name`, `scopes` and `ips`, too. An application's id may be any text: a UUID is made of it, the same each time.",
    'Each line is answered by a line, in order; lines are written in batches of 1,000. It can be repeated: what is there already is `unchanged`.',
    'The last line is a summary.',
  ].join('\n\n'),
  access: ADMINS,
  streamed: true,
  consumes: ['application/x-ndjson', 'application/ndjson'],
  produces: 'application/x-ndjson',
  answers: { 200: z.string() },
});

interface Summary {
  lines: number;
  created: number;
  updated: number;
  unchanged: number;
  failed: number;
}

/** Waits for the revisions that carry what was written. */
type Published = () => Promise<Carrier[]>;

const NOTHING: Published = () => Promise.resolve([]);

interface Applied {
  outcomes: LineOutcome[];
  /** null when nothing was written */
  published: Published | null;
}

interface WaitingLine {
  number: number;
  parsed: { ok: true; line: ImportLine } | { ok: false; error: HelioError };
}

@Controller()
export class ImportController {
  constructor(
    private readonly writes: Writes,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Route(importEndpoint)
  async import(
    @Req() request: MasterRequest,
    @Res() reply: FastifyReply,
    @CurrentCaller() caller: Caller,
  ): Promise<void> {
    const body = request.body as AsyncIterable<Buffer> | undefined;
    if (!body) throw fail('invalid_request', 'the body is empty; send one JSON object a line');
    // its answer is as long as its body: it is repeatable by its lines, not by an Idempotency-Key
    const importer: Caller = { ...caller, idempotency: null };
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson; charset=utf-8', 'x-request-id': request.id });
    const spool = new AnswerSpool(reply.raw);
    try {
      await this.run(importer, body, spool);
      await spool.end();
    } catch (error) {
      // the client broke off: batches that were answered are written, and the import can be sent again
      this.log.info({ requestId: request.id, cause: String(error) }, 'an import broke off');
      await spool.discard();
      reply.raw.destroy();
    }
  }

  /**
   * Three batches are under way: one is read, one is written, one is published. An import that ran ahead of the publisher
   * would leave a heap of markers, behind which everybody else's writes would wait: a revocation, for instance.
   */
  private async run(caller: Caller, body: AsyncIterable<Buffer>, spool: AnswerSpool): Promise<void> {
    const summary: Summary = { lines: 0, created: 0, updated: 0, unchanged: 0, failed: 0 };
    let batch: WaitingLine[] = [];
    let written = Promise.resolve(NOTHING);
    let before = NOTHING();
    const flush = async (): Promise<void> => {
      const [published] = await Promise.all([written, before]);
      before = published();
      written = this.write(caller, batch, spool, summary).then((revisions) => revisions ?? published);
      for (const step of [before, written]) step.catch(() => undefined); // what it throws is met where it is waited for
      batch = [];
    };
    const known = new KnownNames();
    for await (const lines of splitLines(body, MAX_LINE_BYTES)) {
      for (const line of lines) {
        batch.push({ number: line.number, parsed: parse(line, known) });
        if (batch.length >= BATCH) await flush();
      }
    }
    if (batch.length > 0) await flush();
    const [published] = await Promise.all([written, before]);
    const revisions = revisionNames(await published());
    await spool.write(`${JSON.stringify({ summary: { ...summary, revisions } })}\n`);
  }

  private async write(
    caller: Caller,
    batch: readonly WaitingLine[],
    spool: AnswerSpool,
    summary: Summary,
  ): Promise<Published | null> {
    const good = batch.flatMap(({ parsed }) => (parsed.ok ? [parsed.line] : []));
    const { outcomes, published } = await this.apply(caller, good);
    let next = 0;
    const answers = batch.map(({ number, parsed }) =>
      answerOf(
        number,
        parsed.ok ? parsed.line.kind : undefined,
        parsed.ok ? outcomes[next++] : { ok: false, error: parsed.error },
        summary,
      ),
    );
    await spool.write(answers.join(''));
    return published;
  }

  /** One transaction; where a line is not survived, its halves, so that no line fails for another one's sake. */
  private async apply(caller: Caller, lines: readonly ImportLine[]): Promise<Applied> {
    if (lines.length === 0) return { outcomes: [], published: null };
    try {
      const { answer, carriers } = await this.writes.commit(caller, async (tx) => ok(await applyBatch(tx, lines)));
      return { outcomes: answer.body ?? [], published: carriers };
    } catch (error) {
      const problem = asHelioError(error, { id: caller.requestId, method: 'POST', url: '/v1/import' });
      if (problem.code === 'internal' && lines.length > 1) {
        const middle = lines.length >> 1;
        const first = await this.apply(caller, lines.slice(0, middle));
        const second = await this.apply(caller, lines.slice(middle));
        return {
          outcomes: [...first.outcomes, ...second.outcomes],
          published: second.published ?? first.published,
        };
      }
      if (problem.code === 'internal')
        this.log.error({ err: error, requestId: caller.requestId }, 'a line of an import failed');
      return { outcomes: lines.map(() => ({ ok: false, error: problem })), published: null };
    }
  }
}

function parse(line: NumberedLine, known: KnownNames): WaitingLine['parsed'] {
  if (line.tooLong)
    return { ok: false, error: fail('body_too_large', `the line has more than ${MAX_LINE_BYTES} bytes`) };
  return parseImportLine(line.bytes, known);
}

function answerOf(line: number, kind: string | undefined, outcome: LineOutcome | undefined, summary: Summary): string {
  if (!outcome) throw new Error(`line ${line} has no outcome`);
  summary.lines += 1;
  if (outcome.ok) {
    summary[outcome.outcome] += 1;
    // none of them needs escaping
    return `{"line":${line},"ok":true,"kind":"${kind}","outcome":"${outcome.outcome}","id":"${outcome.id}"}\n`;
  }
  summary.failed += 1;
  const { code, detail, fields } = outcome.error;
  return `${JSON.stringify({ line, ok: false, kind, code, status: ERRORS[code].status, detail, ...(fields.length > 0 ? { errors: fields } : {}) })}\n`;
}
