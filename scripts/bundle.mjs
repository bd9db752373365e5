// Puts what a replica runs together, a file for each process and some for what is shared or loaded later: most of a start
// was to look for a thousand modules, and a worker that died is missed for as long as its successor starts.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import { rolldown } from 'rolldown';

const ENTRIES = ['main', 'gateway/worker', 'state/writer-thread', 'usage/usage-thread'].map(
  (name) => `apps/replica/src/${name}`,
);
/** where the files are that are no entry */
const CHUNKS = 'apps/replica/src';

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
  const built = await rolldown({
    input: Object.fromEntries(ENTRIES.map((name) => [name, join(compiled, `${name}.js`)])),
    platform: 'node',
    // lmdb is native, and looks for its binary from where its package is
    external: [/^lmdb$/, NOT_INSTALLED],
    // `#platform` and its like in this very tree, and not in the dist/ that is there now
    resolve: { alias: librariesIn(compiled) },
    plugins: [ownModules(compiled)],
    onLog: (level, log, handle) => handle(log.code === 'UNRESOLVED_IMPORT' ? 'error' : level, log),
  });
  await built.write({
    dir: compiled,
    format: 'esm',
    sourcemap: true,
    entryFileNames: '[name].js',
    // The same names from build to build, of files and of what they export: a process that was started before a build goes on
    // loading after it.
    chunkFileNames: `${CHUNKS}/bundle.[name].js`,
    minifyInternalExports: false,
  });
  await built.close();
}

/** Reads what SWC made together with its maps, so that a stack trace leads to the sources. */
function ownModules(compiled) {
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
        const lost = dirname(fileName) === CHUNKS ? undefined : moduleIds.find((id) => placed.has(id));
        if (lost) this.error(`${lost} asks for its place, and ${fileName} is not where it was told from`);
      }
    },
  };

  /** Processes and threads are started from files that a module names by its own place. */
  function withItsPlace(id) {
    const code = readFileSync(id, 'utf8');
    if (!code.includes('import.meta.url')) return code;
    placed.add(id);
    const place = relative(join(compiled, CHUNKS), id).split(sep).join(posix.sep);
    return code.replaceAll('import.meta.url', `new URL('${place}', import.meta.url).href`);
  }
}

function librariesIn(compiled) {
  const { imports } = JSON.parse(readFileSync('package.json', 'utf8'));
  return Object.fromEntries(
    Object.entries(imports).map(([name, { default: file }]) => [
      `${name}$`,
      join(compiled, file.replace(/^\.\/dist\//, '')),
    ]),
  );
}
