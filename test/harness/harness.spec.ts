import { afterEach, describe, expect, it } from 'vitest';
import { Client } from './client.js';
import { freePorts } from './free-ports.js';
import { type RecordingUpstream, recordingUpstream } from './recording-upstream.js';
import { until } from './until.js';

describe('until', () => {
  it('returns what the condition found, also when it threw before', async () => {
    let looks = 0;
    const found = await until(
      () => {
        if (++looks < 3) throw new Error('not yet');
        return { looks };
      },
      { every: 1, what: 'the third look' },
    );
    expect(found).toEqual({ looks: 3 });
  });

  it('says what it waited for, and why the last attempt failed', async () => {
    const failing = until(() => Promise.reject(new Error('no answer')), { within: 20, every: 5, what: 'an answer' });
    await expect(failing).rejects.toThrow('waited 20 ms in vain for an answer; the last attempt: no answer');
  });
});

describe('freePorts', () => {
  it('gives different ports that can be listened on', async () => {
    const ports = await freePorts(3);
    expect(new Set(ports).size).toBe(3);
    const servers = await Promise.all(ports.map((port) => recordingUpstream(port)));
    await Promise.all(servers.map((server) => server.close()));
  });

  it('gives none twice, and none that the system would give to somebody else', async () => {
    const ports = (await Promise.all([freePorts(100), freePorts(100)])).flat();
    expect(new Set(ports).size).toBe(200);
    expect(Math.max(...ports)).toBeLessThan(20_000);
  });
});

describe('recordingUpstream and Client', () => {
  let upstream: RecordingUpstream;
  afterEach(() => upstream.close());

  it('records a request exactly, and answers with it', async () => {
    upstream = await recordingUpstream();
    const answer = await new Client(upstream.url, 'a-token').post('/things?q=%20', { a: 'ü' });
    expect(answer.body).toMatchObject({ method: 'POST', url: '/things?q=%20', body: '{"a":"ü"}' });
    expect(answer.body.headers).toMatchObject({ authorization: 'Bearer a-token', 'content-type': 'application/json' });
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/things?q=%20']);
  });

  it('does what each fault says', async () => {
    upstream = await recordingUpstream();
    const client = new Client(upstream.url);
    upstream.fault = { kind: 'status', status: 503, headers: { 'retry-after': '1' } };
    await expect(client.get('/')).rejects.toThrow('GET / was answered 503');
    expect((await client.get('/', { status: 503 })).headers.get('retry-after')).toBe('1');
    for (const fault of [{ kind: 'reset', at: 'head' }, { kind: 'reset', at: 'body' }, { kind: 'garbage' }] as const) {
      upstream.fault = fault;
      await expect(client.get('/'), JSON.stringify(fault)).rejects.toThrow();
    }
    upstream.fault = { kind: 'hang' };
    const hanging = fetch(upstream.url, { signal: AbortSignal.timeout(50) });
    await expect(hanging).rejects.toThrow('timeout');
    upstream.fault = { kind: 'delay', ms: 1 };
    await expect(client.get('/')).resolves.toMatchObject({ status: 200 });
    upstream.fault = undefined;
    await expect(client.get('/')).resolves.toMatchObject({ status: 200 });
  });
});
