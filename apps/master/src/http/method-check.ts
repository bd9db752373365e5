import type { FastifyInstance } from 'fastify';
import { fail } from '#model';

/** A path as routes have it, and the methods that it is there for. */
interface Place {
  path: RegExp;
  methods: string[];
}

/**
 * Says 405 and not 404 of a path that is there for other methods. To be installed before the routes are; it costs nothing but
 * where a request finds no route.
 */
export function installMethodCheck(fastify: FastifyInstance): void {
  const places = new Map<string, Place>();
  fastify.addHook('onRoute', ({ url, method }) => {
    const place = places.get(url) ?? { path: pathOf(url), methods: [] };
    places.set(url, place);
    place.methods.push(...[method].flat());
  });
  fastify.addHook('onRequest', (request, _reply, done) => {
    if (!request.is404) return done();
    const path = request.url.split('?')[0] ?? '';
    const found = [...places.values()].filter((place) => place.path.test(path));
    if (found.length === 0) return done();
    const allow = [...new Set(found.flatMap(({ methods }) => methods))].sort().join(', ');
    done(fail('method_not_allowed', `${path} is there for ${allow} only`, { headers: { allow } }));
  });
}

/** `:name` stands for one segment, and `*` at the end for any. */
function pathOf(url: string): RegExp {
  const segments = url.split('/').map((segment) => {
    if (segment.startsWith(':')) return '[^/]+';
    return segment === '*' ? '.*' : segment.replaceAll(/[^\w-]/g, '\\$&');
  });
  return new RegExp(`^${segments.join('/')}$`);
}
