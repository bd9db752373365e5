import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

interface Service {
  image: string;
  build?: { dockerfile: string; target: string };
  user?: string;
  entrypoint?: string[];
  command?: string[];
  environment?: Record<string, string>;
  env_file?: unknown;
  privileged?: unknown;
  networks?: string[] | Record<string, unknown>;
  network_mode?: string;
  ports?: string[];
  volumes?: string[];
  restart: string;
  read_only?: boolean;
  cap_drop?: string[];
  cap_add?: string[];
  security_opt?: string[];
  mem_limit?: string;
  cpus?: number;
  pids_limit?: number;
  stop_grace_period?: string;
  logging?: { options: Record<string, string> };
  healthcheck?: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
  profiles?: string[];
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const file = parse(readFileSync(`${ROOT}docker-compose.multi-dc.yml`, 'utf8'), { merge: true, maxAliasCount: -1 }) as {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean }>;
  volumes: Record<string, unknown>;
};
const services = Object.entries(file.services);
const REGIONS = ['eu-west', 'ap-south', 'staging-eu'];
const ours = services.filter(([, { image }]) => image.startsWith('heliograph-'));
const runsOn = services.filter(([, { restart }]) => restart === 'unless-stopped');
const networksOf = ({ networks = [] }: Service): string[] =>
  (Array.isArray(networks) ? networks : Object.keys(networks)).toSorted();
const aliasesOf = ({ networks = {} }: Service, network: string): string[] =>
  (networks as Record<string, { aliases?: string[] }>)[network]?.aliases ?? [];
const volumesOf = ({ volumes = [] }: Service): { source: string; target: string; mode?: string }[] =>
  volumes.map((each) => {
    const [source = '', target = '', mode] = each.split(':');
    return { source, target, mode };
  });

describe('data centres of docker-compose.multi-dc.yml', () => {
  it('are networks that nothing leads out of', () => {
    const closed = Object.keys(file.networks).filter((name) => file.networks[name]?.internal);
    expect(closed.toSorted()).toEqual(['ap-south', 'eu-west', 'hq', 'staging-eu']);
    expect(Object.keys(file.networks).toSorted()).toEqual([...closed, 'outside'].toSorted());
  });

  it.each(REGIONS)('%s has two replicas, a Redis and an upstream, which are on its own network alone', (region) => {
    for (const name of ['1', '2', 'redis', 'upstream']) {
      const service = file.services[`${region}-${name}`];
      expect(service && networksOf(service), `${region}-${name}`).toEqual([region]);
    }
  });

  it('are left by lines and, where people ask for metrics, by Prometheus; by nothing else', () => {
    const between = services.filter(([, each]) => networksOf(each).filter((name) => name !== 'outside').length > 1);
    expect(between.map(([name]) => name).toSorted()).toEqual(
      ['prometheus', ...REGIONS.map((each) => `wan-${each}`)].toSorted(),
    );
    for (const region of REGIONS)
      expect(networksOf(file.services[`wan-${region}`]!)).toEqual(['hq', 'outside', region].toSorted());
    expect(file.services['prometheus']?.profiles).toEqual(['observability']);
  });

  it.each(REGIONS)('%s has a line that listens where its own network is, and a switch outside', (region) => {
    const wan = file.services[`wan-${region}`]!;
    const { WAN_LINKS = '', WAN_CONTROL = '' } = wan.environment ?? {};
    for (const [name, network] of [...WAN_LINKS.split(',').map((link) => [link, region]), [WAN_CONTROL, 'outside']]) {
      const listens = name!.split(':')[0]!;
      expect(aliasesOf(wan, network!), name).toEqual([listens]);
      // a name that nobody has on another of its networks: it stands for one address
      const holders = services.filter(([other, service]) =>
        networksOf(wan).some(
          (each) => networksOf(service).includes(each) && [other, ...aliasesOf(service, each)].includes(listens),
        ),
      );
      expect(
        holders.map(([other]) => other),
        listens,
      ).toEqual([`wan-${region}`]);
    }
  });

  it('are entered from outside by nginx alone, and on the loopback interface', () => {
    const open = services.filter(([, { ports }]) => ports);
    expect(open.map(([name]) => name).toSorted()).toEqual(
      ['hq-masters', ...REGIONS.map((each) => `${each}-gateway`), 'prometheus', 'grafana'].toSorted(),
    );
    for (const [name, { ports = [] }] of open) for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/);
  });

  it('have masters that only their own network reaches', () => {
    for (const name of ['master-1', 'master-2', 'postgres', 'redis', 'minio'])
      expect(networksOf(file.services[name]!), name).toEqual(['hq']);
  });
});

describe('every container of docker-compose.multi-dc.yml', () => {
  it.each(services)('%s can write to no image, has no rights and an end to what it takes', (_, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      mem_limit: expect.stringMatching(/^\d+[mg]$/) as string,
      cpus: expect.any(Number) as number,
      pids_limit: expect.any(Number) as number,
      stop_grace_period: expect.stringMatching(/^\d+s$/) as string,
      logging: { options: { 'max-size': '10m', 'max-file': '3' } },
    });
    expect(service.privileged).toBeUndefined();
  });

  it('is nobody in particular, but for those whose image says who it is', () => {
    const rooted = services.filter(([, { user, build, image }]) => {
      if (user !== undefined) return user.startsWith('0');
      return build === undefined && !image.startsWith('heliograph-');
    });
    // `secrets` and `join` write into new volumes, which are root's; the others bring a user of their own
    expect(rooted.map(([name]) => name).toSorted()).toEqual(
      ['grafana', 'join', 'minio', 'postgres', 'prometheus', 'secrets'].toSorted(),
    );
    expect(services.filter(([, { cap_add }]) => cap_add).map(([name]) => name)).toEqual(['postgres']);
    expect(file.services['secrets']?.network_mode).toBe('none');
  });

  it('is an image of a fixed version', () => {
    for (const [name, { image }] of services) {
      expect(image, name).toMatch(/:/);
      expect(image, name).not.toMatch(/:latest$/);
    }
  });

  it.each(runsOn)('%s that goes on says whether it is well', (name, { healthcheck, build, image }) => {
    const own = build !== undefined && image.startsWith('heliograph-'); // in the image
    if (!own && !/-upstream$|^prometheus$|^grafana$/.test(name)) expect(healthcheck?.test.length).toBeGreaterThan(1);
  });

  it('waits for others by their condition, and for those that exist', () => {
    for (const [name, { depends_on = {} }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        const once = file.services[other]?.restart.startsWith('on-failure');
        expect(condition, `${name} for ${other}`).toBe(once ? 'service_completed_successfully' : 'service_healthy');
      }
    }
  });
});

describe('secrets in docker-compose.multi-dc.yml', () => {
  it('stand in no environment and no command', () => {
    for (const [name, { environment = {}, env_file, command = [] }] of services) {
      expect(env_file, name).toBeUndefined();
      for (const [key, value] of Object.entries(environment)) {
        if (key.endsWith('_FILE')) expect(value, `${name} ${key}`).toMatch(/^\/run\//);
        else expect(`${key}=${value}`, name).not.toMatch(/password|secret|token|access_key|:\/\/[^/]*@/i);
      }
      expect(command.join(' '), name).not.toMatch(/password|requirepass|token/i);
    }
  });

  it('reach those alone who need them', () => {
    const who = (volume: string): string[] =>
      services.filter(([, each]) => volumesOf(each).some(({ source }) => source === volume)).map(([name]) => name);
    expect(who('all-secrets').toSorted()).toEqual(['secrets', 'store-users']);
    expect(who('master-secrets').toSorted()).toEqual(['master-1', 'master-2', 'secrets']);
    expect(who('operator-secrets').toSorted()).toEqual(['demo', 'helio', 'join', 'secrets']);
    for (const one of ['postgres', 'redis', 'minio', 'grafana'])
      expect(who(`${one}-secrets`).toSorted(), one).toEqual([one, 'secrets'].toSorted());
    for (const region of REGIONS) {
      const own = ['1', '2', 'redis'].map((name) => `${region}-${name}`);
      expect(who(`${region}-secrets`).toSorted()).toEqual(['join', 'secrets', ...own].toSorted());
    }
  });

  it('can be changed by those alone who make them', () => {
    for (const [name, service] of services) {
      for (const { source, mode } of volumesOf(service)) {
        if (source.endsWith('-secrets') && mode !== 'ro')
          expect(['secrets', 'join'], `${name}: ${source}`).toContain(name);
        if (!source.startsWith('./')) expect(file.volumes, `${name}: ${source}`).toHaveProperty([source]);
      }
    }
    expect(volumesOf(file.services['join']!).find(({ source }) => source === 'operator-secrets')?.mode).toBe('ro');
  });
});

it('every file that docker-compose.multi-dc.yml mounts is there, and mounted to be read', () => {
  for (const [name, service] of services) {
    for (const { source, mode } of volumesOf(service)) {
      if (!source.startsWith('./')) continue;
      expect(existsSync(ROOT + source), `${name}: ${source}`).toBe(true);
      expect(mode, `${name}: ${source}`).toBe('ro');
    }
  }
});

it('our images are targets of docker/Dockerfile', () => {
  const text = readFileSync(`${ROOT}docker/Dockerfile`, 'utf8');
  expect(ours.length).toBeGreaterThan(0);
  for (const [name, { image, build }] of ours) {
    const target = /^heliograph-([a-z]+):/.exec(image)?.[1];
    expect(text, name).toMatch(new RegExp(`^FROM base AS ${target}$`, 'm'));
    if (build) expect(build, name).toMatchObject({ dockerfile: 'docker/Dockerfile', target });
  }
});

it('Prometheus asks every master and every replica', () => {
  const { scrape_configs } = parse(readFileSync(`${ROOT}docker/prometheus/multi-dc.yml`, 'utf8')) as {
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  const targets = scrape_configs.flatMap(({ static_configs }) => static_configs.flatMap((each) => each.targets));
  const masters = ['master-1:8080', 'master-2:8080'];
  const replicas = REGIONS.flatMap((region) => [`${region}-1:9180`, `${region}-2:9180`]);
  expect(targets.toSorted()).toEqual([...masters, ...replicas].toSorted());
});
