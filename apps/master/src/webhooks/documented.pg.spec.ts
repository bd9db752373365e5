import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePorts, until } from '#harness';
import { EVENT_KINDS, eventView } from '../events/event-kinds.js';
import { good } from '../testing/answers.js';
import { type StartedApp, startApp } from '../testing/start-app.js';

const document = readFileSync(new URL('../../../../docs/webhooks.md', import.meta.url), 'utf8');
const blocks = (language: string): string[] =>
  [...document.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(([, text = '']) => text);

describe('docs/webhooks.md', () => {
  it('has an example of each form of an event, as the schema says, and names every type', () => {
    const examples = blocks('json').map((text) => eventView.parse(JSON.parse(text)));
    for (const { type, data } of examples) EVENT_KINDS.get(type)?.data.parse(data);
    const shown = examples.map(({ type }) => EVENT_KINDS.get(type)?.data);
    for (const [type, { data }] of EVENT_KINDS) {
      expect(shown, type).toContain(data);
      const [kind, rest] = type.split('.');
      expect(document, type).toMatch(new RegExp(`\`${kind}\\.${rest}\`|\`\\.${rest}\``));
    }
  });

  describe('its receiver', () => {
    let app: StartedApp;
    let receiver: ChildProcess | undefined;
    beforeAll(async () => {
      app = await startApp({ HELIO_WEBHOOK_NETWORKS: '127.0.0.0/8' });
    });
    afterAll(async () => {
      receiver?.kill();
      await app?.stop();
    });

    it('takes what is signed by its secret, and nothing else', async () => {
      const [port = 0] = await freePorts(1);
      const url = `http://127.0.0.1:${port}/`;
      const { id, secret } = await good(app.call('POST', '/v1/webhooks', { url, types: ['chain.*'] }));
      const file = join(mkdtempSync(join(tmpdir(), 'helio-receiver-')), 'receiver.mjs');
      writeFileSync(file, blocks('js')[0] ?? '');
      let said = '';
      receiver = spawn(process.execPath, [file], { env: { PORT: String(port), SECRET: secret } });
      receiver.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const send = (headers: Record<string, string>) =>
        fetch(url, { method: 'POST', body: '{}', headers }).then(({ status }) => status);
      await until(() => send({}).catch(() => false), { what: 'the receiver' });
      const now = String(Math.floor(Date.now() / 1000));
      expect(await send({})).toBe(401);
      expect(
        await send({ 'webhook-id': 'x', 'webhook-timestamp': now, 'webhook-signature': `v1,${'A'.repeat(43)}=` }),
      ).toBe(401);
      const { event } = await good(app.call('POST', `/v1/webhooks/${id}/test`));
      await until(() => said.includes('webhook.test'), { what: 'the event' });
      expect(said).toContain(event);
    });
  });
});
