// Puts what the apps run together, a file for each process and some for what is shared or loaded later:
// most of a start was to look for a thousand modules, a worker that died is missed for as long as its successor starts, and
// nobody waits for a command line.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import { rolldown } from 'rolldown';

/**
 * By the folder in which the files go that are no entry. `elsewhere`: packages that look for files of their own, or for drivers that
 * are not installed. lmdb is native; bullmq reads its scripts for Redis from its folder, and shares ioredis with the master.
 */
export const APPS = {
  'apps/master/src': { entries: ['main'], elsewhere: /^(typeorm|pg|bullmq|ioredis|minio|swagger-ui-dist)(\/|$)/ },
  'apps/replica/src': {
    entries: ['main', 'gateway/worker', 'state/writer-thread', 'usage/usage-thread'],
    elsewhere: /^lmdb$/,
  },
  'apps/cli/src': { entries: ['main'], elsewhere: /^lmdb$/ },
};

/** What Nest looks for and does without. Anything else that does not resolve is a fault. */
const NOT_INSTALLED =
  /^(class-(transformer|validator)|@nestjs\/(microservices|platform-express|websockets)|@fastify\/(multipart|static|view))(\/|$)/;

/**
 * Replaces each entry's file in a compiled tree by its bundle. Everything else in the tree stays: tests and tools load it.
 *
 * @param {string} dist
 */
export async function bundle(dist) {
  const compiled = resolve(dist) + sep;
  for (const folder of Object.keys(APPS)) await bundleApp(compiled, folder);
}

async function bundleApp(compiled, folder) {
  const { elsewhere } = APPS[folder];
  const entries = APPS[folder].entries.map((name) => `${folder}/${name}`);
  const built = await rolldown({
    input: Object.fromEntries(entries.map((name) => [name, join(compiled, `${name}.js`)])),
    platform: 'node',
    external: [elsewhere, NOT_INSTALLED],
    plugins: [ownModules(compiled, folder)],
    onLog: (level, log, handle) => handle(log.code === 'UNRESOLVED_IMPORT' ? 'error' : level, log),
  });
  const { output } = await built.write({
    dir: compiled,
    format: 'esm',
    sourcemap: true,
    entryFileNames: '[name].js',
    // The same names from build to build, of files and of what they export: a process that was started before a build goes on
    // loading after it.
    chunkFileNames: `${folder}/bundle.[name].js`,
    minifyInternalExports: false,
  });
  await built.close();
  writeFileSync(join(compiled, folder, 'bundled.json'), JSON.stringify(packagesIn(output)));
}

/** The packages that a bundle has something of, by their places: `node_modules/a/node_modules/b`. */
function packagesIn(output) {
  const modules = output.flatMap(({ moduleIds = [] }) => moduleIds).map((id) => id.split(sep).join(posix.sep));
  const places = modules.map((id) => /\/(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)/.exec(id)?.[1]);
  return [...new Set(places.filter((place) => place !== undefined))].sort();
}

/** Reads what SWC made together with its maps, so that a stack trace leads to the sources. */
function ownModules(compiled, folder) {
  const libraries = join(compiled, 'libs') + sep;
  const placed = new Set();
  return {
    name: 'own-modules',
    load(id) {
      if (!id.startsWith(compiled)) return null;
      const map = existsSync(`${id}.map`) ? readFileSync(`${id}.map`, 'utf8') : null;
      // a library does nothing when it is loaded, so that what nobody uses of it stays out
      return { code: withItsPlace(id), map, moduleSideEffects: id.startsWith(libraries) ? false : null };
    },
    generateBundle(_, files) {
      for (const { fileName, moduleIds = [] } of Object.values(files)) {
        const lost = dirname(fileName) === folder ? undefined : moduleIds.find((id) => placed.has(id));
        if (lost) this.error(`${lost} asks for its place, and ${fileName} is not where it was told from`);
      }
    },
  };

  /** Processes and threads are started from files that a module names by its own place. */
  function withItsPlace(id) {
    const code = readFileSync(id, 'utf8');
    if (!code.includes('import.meta.url')) return code;
    placed.add(id);
    const place = relative(join(compiled, folder), id).split(sep).join(posix.sep);
    return code.replaceAll('import.meta.url', `new URL('${place}', import.meta.url).href`);
  }
}
