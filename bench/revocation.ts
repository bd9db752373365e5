import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { postgresVersion } from './bare-rows.js';
import { MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine, quantile } from './machine.js';
import { numbersFrom, say } from './options.js';
import { API_PATH, prepareProd, type Region, Regions } from './regions.js';

const options = numbersFrom(
  `
A key, an OAuth client, one token and all tokens of a client are revoked, in turns: from the answer to the write until every region
has refused it once, and never admits it again. First with regions that follow the master's stream, then with regions that
know no master and live from the store alone (they look every 2 s), as after the stream was cut. Beside it the same writes with
\`Prefer: wait\` and \`?applied=all\`: how long they take, and what was admitted after their answer, which has to be nothing.
Everything on this machine: what is measured shares its cores with who asks.`,
  { regions: 3, rounds: 10, questions: 50 },
);
const GIVE_UP_MS = 60_000;

type Headers = Record<string, string>;
/** Something that is admitted, and how to revoke it. */
interface Credential {
  headers: Headers;
  revoke: (query: string, headers?: Headers) => Promise<unknown>;
}

const master = await startLoneMaster();
const calls = new MasterCalls(master.url, master.adminToken, 16);
const say1 = (ms: number): string => ms.toFixed(ms < 100 ? 1 : 0);

async function newClient(application: string): Promise<{ path: string; token: () => Promise<string> }> {
  const { body } = await calls.call('POST', `/v1/applications/${application}/clients`, { environment: 'prod' });
  const basic = Buffer.from(`${body.id}:${body.secret}`).toString('base64');
  const token = async (): Promise<string> => {
    const response = await fetch(`${master.url}/oauth/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials',
    });
    if (!response.ok) throw new Error(`/oauth/token: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { access_token: string }).access_token;
  };
  return { path: `/v1/applications/${application}/clients/${body.id}`, token };
}

/** What is measured, by its name. */
const KINDS: Record<string, (application: string) => Promise<Credential>> = {
  key: async (application) => {
    const path = `/v1/applications/${application}/keys`;
    const { body } = await calls.call('POST', path, { environment: 'prod' });
    return {
      headers: { 'x-api-key': body.secret },
      revoke: (query, headers) => calls.call('POST', `${path}/${body.id}/revoke${query}`, {}, headers),
    };
  },
  client: async (application) => {
    const { path, token } = await newClient(application);
    return {
      headers: { authorization: `Bearer ${await token()}` },
      revoke: (query, headers) => calls.call('POST', `${path}/revoke${query}`, {}, headers),
    };
  },
  'one token': async (application) => {
    const held = await (await newClient(application)).token();
    return {
      headers: { authorization: `Bearer ${held}` },
      revoke: (query, headers) =>
        calls.call('POST', `/v1/environments/prod/revoked-tokens${query}`, { token: held }, headers),
    };
  },
  'all tokens of a client': async (application) => {
    const { path, token } = await newClient(application);
    return {
      headers: { authorization: `Bearer ${await token()}` },
      revoke: (query, headers) => calls.call('POST', `${path}/revoke-tokens${query}`, {}, headers),
    };
  },
};

async function statusOf(gateway: Pool, headers: Headers): Promise<number> {
  const { statusCode, body } = await gateway.request({ method: 'GET', path: API_PATH, headers });
  await body.dump();
  return statusCode;
}

/** @returns when a region answered so for the first time, by performance.now() */
async function firstTime(gateway: Pool, headers: Headers, status: number): Promise<number> {
  const since = performance.now();
  while ((await statusOf(gateway, headers)) !== status) {
    if (performance.now() - since > GIVE_UP_MS)
      throw new Error(`a region did not answer ${status} in ${GIVE_UP_MS} ms`);
    await sleep(1);
  }
  return performance.now();
}

const everywhere = (gateways: readonly Pool[], headers: Headers, status: number): Promise<number[]> =>
  Promise.all(gateways.map((gateway) => firstTime(gateway, headers, status)));

/** @returns how many of the questions were admitted */
async function admittedOf(gateways: readonly Pool[], headers: Headers): Promise<number> {
  const asked = gateways.flatMap((gateway) =>
    Array.from({ length: options.questions }, () => statusOf(gateway, headers)),
  );
  return (await Promise.all(asked)).filter((status) => status === 200).length;
}

async function measure(application: string, all: readonly Region[], provable: boolean): Promise<void> {
  const gateways = all.map(({ gateway }) => new Pool(gateway, { connections: 8 }));
  try {
    for (const [kind, make] of Object.entries(KINDS)) {
      const [first, last, waited]: number[][] = [[], [], []];
      let [late, admitted, asked] = [0, 0, 0];
      for (let round = 0; round < options.rounds; round++) {
        const plain = await make(application);
        await everywhere(gateways, plain.headers, 200);
        await plain.revoke('');
        const answered = performance.now();
        const refused = await everywhere(gateways, plain.headers, 401);
        first?.push(Math.max(0, Math.min(...refused) - answered));
        last?.push(Math.max(...refused) - answered);
        late += await admittedOf(gateways, plain.headers);
        if (!provable) continue;
        const proven = await make(application);
        await everywhere(gateways, proven.headers, 200);
        const began = performance.now();
        await proven.revoke('?applied=all', { prefer: 'wait=30' });
        waited?.push(performance.now() - began);
        admitted += await admittedOf(gateways, proven.headers);
        asked += gateways.length * options.questions;
      }
      const spread = (of: number[] = []): string =>
        `p50 ${say1(quantile(of, 0.5))} ms, max ${say1(Math.max(...of))} ms`;
      say(
        `  ${kind} (n = ${options.rounds}): first region ${spread(first)}; every region ${spread(last)}; admitted afterwards ${late}`,
      );
      if (provable)
        say(`    with applied=all: answered after ${spread(waited)}; then admitted ${admitted} of ${asked}`);
    }
  } finally {
    await Promise.all(gateways.map((gateway) => gateway.close()));
  }
}

try {
  say(`${machineLine()}, ${await postgresVersion(master.databaseUrl)}; ${options.regions} regions of 1 replica`);
  const { application, close } = await prepareProd(calls, 'key-or-jwt');
  for (const alone of [false, true]) {
    const regions = new Regions(master, calls);
    try {
      for (let number = 0; number < options.regions; number++)
        await regions.add(`${alone ? 'alone' : 'region'}-${number}`, alone);
      say(alone ? 'through the store alone' : "by the master's stream");
      await measure(application, regions.all, !alone);
    } finally {
      await regions.stop();
    }
  }
  close();
} finally {
  await calls.close();
  await master.stop();
}
