import type { FastifyInstance } from 'fastify';
import { fail } from '#model';
import { RoutedMethods } from '#platform';

/**
 * Says 405 and not 404 of a path that is there for other methods. To be installed before the routes are; it costs nothing but
 * where a request finds no route.
 */
export function installMethodCheck(fastify: FastifyInstance): void {
  const routed = new RoutedMethods();
  fastify.addHook('onRoute', ({ url, method }) => routed.add(url, method));
  fastify.addHook('onRequest', (request, _reply, done) => {
    const path = request.url.split('?')[0] ?? '';
    const allow = request.is404 ? routed.allow(path) : null;
    if (allow === null) return done();
    done(fail('method_not_allowed', `${path} is there for ${allow} only`, { headers: { allow } }));
  });
}
