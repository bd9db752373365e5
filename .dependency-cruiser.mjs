// Which part may know which. Every rule here has a planted violation in scripts/boundaries.mjs that must be seen to fail.
const tests = '(\\.spec\\.ts$|^(test|bench)/|^(apps|libs)/[^/]+/src/testing/)';
const framework = '(^|/)(@nestjs/[^/]+|typeorm|fastify|rxjs)(/|$)';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'apps-stand-alone',
      comment: 'An app is deployed without the others. What two of them need belongs in a lib.',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'libs-know-no-app',
      comment: 'Dependencies point one way: apps -> throttle, artifacts -> model -> platform.',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^apps/' },
    },
    {
      name: 'platform-knows-nothing',
      comment: 'platform is the ground: it imports no other lib.',
      severity: 'error',
      from: { path: '^libs/platform/' },
      to: { path: '^libs/', pathNot: '^libs/platform/' },
    },
    {
      name: 'model-knows-platform-only',
      severity: 'error',
      from: { path: '^libs/model/' },
      to: { path: '^libs/', pathNot: '^libs/(model|platform)/' },
    },
    {
      name: 'throttle-and-artifacts-apart',
      comment: 'Counting requests and moving revisions have nothing to do with each other.',
      severity: 'error',
      from: { path: '^libs/(throttle|artifacts)/' },
      to: { path: '^libs/(throttle|artifacts)/', pathNot: '^libs/$1/' },
    },
    {
      name: 'libs-by-their-index',
      comment: 'What is behind the index of a lib is its own business.',
      severity: 'error',
      from: { path: '^(?:apps|test|bench|libs/([^/]+))/' },
      to: { path: '^libs/', pathNot: ['^libs/$1/', '^libs/[^/]+/src/(testing/)?index\\.ts$'] },
    },
    {
      name: 'libs-by-their-name',
      comment:
        'A relative path into a lib works in the sources and breaks when one of the two moves: #platform, #model ...',
      severity: 'error',
      from: { path: '^(?:apps|test|bench|libs/([^/]+))/' },
      to: { path: '^libs/', pathNot: '^libs/$1/', dependencyTypesNot: ['aliased-subpath-import'] },
    },
    {
      name: 'testing-for-tests',
      comment: 'Conformance suites and test doubles stay out of the product.',
      severity: 'error',
      from: { pathNot: tests },
      to: { path: ['^(apps|libs)/[^/]+/src/testing/', '^(test|bench)/', '\\.spec\\.ts$'] },
    },
    {
      name: 'gateway-without-framework',
      comment: 'Requests pass here: the gateway starts fast and stays small without Nest, TypeORM, Fastify or RxJS.',
      severity: 'error',
      from: { path: '^apps/replica/src/gateway/', pathNot: '\\.spec\\.ts$' },
      to: { path: framework, reachable: true },
    },
    {
      name: 'algorithm-without-framework',
      comment: 'The arithmetic of limits is pure: no framework, no input or output.',
      severity: 'error',
      from: { path: '^libs/throttle/src/algorithm/', pathNot: '\\.spec\\.ts$' },
      to: { path: framework, reachable: true },
    },
    {
      name: 'product-without-dev-dependencies',
      comment: 'A production install has no devDependencies.',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: tests },
      to: { dependencyTypes: ['npm-dev'] },
    },
    {
      name: 'no-circles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'everything-resolves',
      comment: 'A name that cannot be resolved is a dependency that the rules above cannot see.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['source', 'import', 'node', 'default', 'types'],
    },
  },
};
