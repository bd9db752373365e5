import { describe, expect, it } from 'vitest';
import { RoutedMethods } from './routed-methods.js';

describe('RoutedMethods', () => {
  const routed = new RoutedMethods();
  routed.add('/v1/plans', 'POST');
  routed.add('/v1/plans', ['GET', 'HEAD']);
  routed.add('/v1/plans/:plan', 'DELETE');
  routed.add('/chain/*', 'GET');
  routed.add('/openapi.json', 'GET');

  it.each([
    ['/v1/plans', 'GET, HEAD, POST'],
    ['/v1/plans/gold', 'DELETE'],
    ['/chain/prod/head.json', 'GET'],
    ['/openapi.json', 'GET'],
    ['/openapi-json', null],
    ['/v1/plans/gold/more', null],
    ['/v1', null],
  ])('says of %s that it is there for %s', (path, allow) => {
    expect(routed.allow(path)).toBe(allow);
  });
});
