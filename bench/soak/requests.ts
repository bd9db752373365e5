import { randomInt } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Client, Pool } from 'undici';
import { contentOf, hashOf } from './content.js';
import type { Attempt, Ledger } from './ledger.js';
import type { Echo } from './upstreams.js';
import { CACHE_SECONDS, type Key, type KeyState, type World } from './world.js';

const MEGABYTE = 2 ** 20;
/** An upstream that was at fault may be left alone for so long. */
const SETTLED_MS = 40_000;

interface Got {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

interface Sent {
  kind: string;
  api?: string;
  method?: 'GET' | 'POST';
  path?: string;
  key: string | null;
  body?: { chunks: Buffer[]; inChunks: boolean };
}

/** Requests as clients of a library make them, and what is right for each. */
export class Requests {
  /** answers of the plan `tight`, when they were asked for */
  readonly admitted: number[] = [];

  constructor(
    private readonly world: World,
    private readonly ledger: Ledger,
    private readonly dispatcher: Client | Pool,
  ) {}

  /** A key at random: issued or revoked. */
  get(kind = 'GET', dispatcher = this.dispatcher): Promise<void> {
    return this.#steady({ kind }, dispatcher);
  }

  post(): Promise<void> {
    const chunks = [...contentOf('post', randomInt(1, 40_000))];
    return this.#steady({ kind: 'POST by length', method: 'POST', body: { chunks, inChunks: false } });
  }

  postChunks(): Promise<void> {
    const chunks = Array.from({ length: randomInt(1, 12) }, (_, n) => Buffer.alloc(randomInt(1, 9000), n));
    return this.#steady({ kind: 'POST in chunks', method: 'POST', body: { chunks, inChunks: true } });
  }

  upload(): Promise<void> {
    const body = { chunks: [...contentOf('upload', MEGABYTE)], inChunks: randomInt(2) === 0 };
    return this.#steady({ kind: 'upload of 1 MB', method: 'POST', body });
  }

  async download(): Promise<void> {
    const key = this.goodKey();
    const by = randomInt(2) === 0 ? 'length' : 'chunks';
    await this.#send(
      { kind: 'download of 1 MB', path: `/bytes/${MEGABYTE}?by=${by}`, key: key.secret },
      (got, attempt) => {
        const refusal = this.#refusal(got, key, attempt);
        if (refusal !== undefined) return refusal;
        return hashOf([got.body]) === hashOf(contentOf(attempt.id, MEGABYTE)) ? null : `${got.body.length} other bytes`;
      },
    );
  }

  async wrongKey(): Promise<void> {
    const key = randomInt(4) === 0 ? null : `hg_live_${randomInt(1e9)}`;
    const code = key === null ? 'credential_missing' : 'credential_unknown';
    await this.#send({ kind: 'wrong key', key }, (got) => refusedBy(got, 401, code));
  }

  async cached(): Promise<void> {
    const key = this.goodKey();
    const path = `/c/${randomInt(30)}`;
    const since = Date.now();
    await this.#send({ kind: 'kept answer', api: 'cached', path, key: key.secret }, (got, attempt) => {
      const refusal = this.#refusal(got, key, attempt);
      if (refusal !== undefined) return refusal;
      const { made, url } = JSON.parse(got.body.toString()) as Echo;
      if (url !== path) return `an answer for ${url} to a request for ${path}`;
      const age = since - made;
      return age > (CACHE_SECONDS + 1) * 1000 ? `an answer that was ${age} ms old when it was asked for` : null;
    });
  }

  async limited(): Promise<void> {
    const sentAt = performance.now();
    await this.#send({ kind: 'limited', key: this.world.tightKey }, (got, attempt) => {
      if (got.status === 200) this.admitted.push(sentAt);
      if (got.status !== 429) return this.#echoFault(got, attempt);
      return got.headers['retry-after'] ? refusedBy(got, 429, 'rate_limited') : 'no Retry-After';
    });
  }

  async faulty(): Promise<void> {
    const key = this.goodKey();
    const method = randomInt(3) === 0 ? 'POST' : 'GET';
    const body = method === 'POST' ? { chunks: [Buffer.from('one')], inChunks: false } : undefined;
    await this.#send({ kind: 'upstream at fault', api: 'faulty', method, key: key.secret, body }, (got, attempt) => {
      const was = this.world.fault.possible(attempt.sentAt - SETTLED_MS, performance.now());
      const isExcused = was.some((fault) => fault !== null);
      if (isExcused && [502, 503, 504].includes(got.status)) return null;
      return (
        this.#refusal(got, key, attempt) ?? this.#echoFault(got, attempt, { method, bytes: method === 'POST' ? 3 : 0 })
      );
    });
  }

  async #steady(sent: Omit<Sent, 'key'>, dispatcher = this.dispatcher): Promise<void> {
    const key = this.#anyKey();
    const { body, method = 'GET' } = sent;
    const check = (got: Got, attempt: Attempt): string | null => {
      const refusal = this.#refusal(got, key, attempt);
      if (refusal !== undefined) return refusal;
      const chunks = body?.chunks ?? [];
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      const releases: string[] = this.world.release.possible(attempt.sentAt, performance.now());
      const release = String(got.headers['x-release']);
      if (!releases.includes(release)) return `by release ${release} instead of ${releases.join(' or ')}`;
      return this.#echoFault(got, attempt, { method, bytes, sha256: hashOf(chunks) });
    };
    await this.#send({ ...sent, key: key.secret }, check, dispatcher);
  }

  /** @returns null for a refusal that is right, a text for one that is not, undefined for an answer by which the key was taken */
  #refusal(got: Got, key: Key, { sentAt }: Attempt): string | null | undefined {
    const states: KeyState[] = key.state.possible(sentAt, performance.now());
    if (got.status === 401) {
      if (states.includes('revoked')) return refusedBy(got, 401, 'credential_revoked');
      return states.includes('unknown') ? null : `refused, and its key is ${states.join(' or ')}: ${String(got.body)}`;
    }
    if (got.status === 200) return states.includes('good') ? undefined : `taken, and its key is ${states.join(' or ')}`;
    return got.body.toString().slice(0, 300);
  }

  /** The answer is to this request and to no other one. */
  #echoFault({ body, status }: Got, { id }: Attempt, expected: Partial<Echo> = {}): string | null {
    if (status !== 200) return body.toString().slice(0, 300);
    const echo = JSON.parse(body.toString()) as Echo;
    const wrong = Object.entries({ ...expected, id }).find(([field, value]) => echo[field as keyof Echo] !== value);
    return wrong ? `${wrong[0]} ${echo[wrong[0] as keyof Echo]} came back, and not ${wrong[1]}` : null;
  }

  async #send(
    sent: Sent,
    check: (got: Got, attempt: Attempt) => string | null,
    dispatcher = this.dispatcher,
  ): Promise<void> {
    const { api = 'steady', body, key, kind, method = 'GET', path = '/x' } = sent;
    const attempt = this.ledger.begin(kind);
    try {
      const answer = await dispatcher.request({
        path: `/${api}/v1${path}`,
        method,
        headers: { 'x-soak-id': attempt.id, ...(key === null ? {} : { 'x-api-key': key }) },
        body: body && (body.inChunks ? Readable.from(inChunks(body.chunks)) : Buffer.concat(body.chunks)),
      });
      const got = {
        status: answer.statusCode,
        headers: answer.headers,
        body: Buffer.from(await answer.body.arrayBuffer()),
      };
      attempt.answered(got.status, check(got, attempt));
    } catch (error) {
      if (this.ledger.open.has(attempt)) attempt.failed(error);
      else this.ledger.wrong(`${attempt.id}: ${(error as Error).stack}`);
    }
  }

  #anyKey(): Key {
    const { keys } = this.world;
    if (randomInt(4) > 0) return this.goodKey();
    return keys[randomInt(keys.length)] as Key;
  }

  /** One that was not revoked a moment ago. */
  goodKey(): Key {
    const good = this.world.keys.filter(({ state }) => state.newest === 'good');
    return good[randomInt(good.length)] as Key;
  }
}

async function* inChunks(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    await new Promise(setImmediate);
    yield chunk;
  }
}

function refusedBy({ body, status }: Got, expected: number, code: string): string | null {
  const text = body.toString();
  return status === expected && text.includes(`"${code}"`)
    ? null
    : `instead of ${expected} ${code}: ${text.slice(0, 300)}`;
}
