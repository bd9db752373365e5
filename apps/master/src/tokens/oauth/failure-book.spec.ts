import { beforeEach, describe, expect, it } from 'vitest';
import { FailureBook } from './failure-book.js';

const [RIGHT, WRONG] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
let book: FailureBook;
beforeEach(() => {
  book = new FailureBook();
});

const fail = (times: number, address: string, client: string, now = 0): boolean[] =>
  Array.from({ length: times }, () => book.failed(address, client, WRONG, now));

describe('whoever fails to authenticate', () => {
  it('is made to wait after ten times in a minute, and is told of once', () => {
    expect(fail(10, '192.0.2.1', 'a')).toEqual([...Array<boolean>(9).fill(false), true]);
    expect([book.wait('192.0.2.1', 'a', WRONG, 0), book.wait('192.0.2.1', 'a', WRONG, 59_999)]).toEqual([60, 1]);
    expect(book.wait('192.0.2.1', 'a', WRONG, 60_000)).toBe(0);
  });

  it('does so for one client at one address', () => {
    fail(10, '192.0.2.1', 'a');
    expect([book.wait('192.0.2.1', 'b', WRONG, 0), book.wait('192.0.2.2', 'a', WRONG, 0)]).toEqual([0, 0]);
  });

  it('and tries many clients from one address waits as well', () => {
    for (let i = 0; i < 300; i++) fail(1, '192.0.2.1', `client ${i}`);
    expect(book.wait('192.0.2.1', 'another', WRONG, 0)).toBe(60);
    expect(book.wait('192.0.2.2', 'another', WRONG, 0)).toBe(0);
  });

  it('has one address in all of an IPv6 network', () => {
    fail(10, '2001:db8:0:1::1', 'a');
    for (const same of ['2001:db8:0:1::2', '2001:0db8:0000:0001:ffff::', '2001:db8::1:0:0:0:9'])
      expect(book.wait(same, 'a', WRONG, 0), same).toBe(60);
    for (const other of ['2001:db8:0:2::1', '2001:db8:1:1::1', '::1', '::ffff:192.0.2.1'])
      expect(book.wait(other, 'a', WRONG, 0), other).toBe(0);
  });

  it('does not lock out a client that was authentic, until its secret is refused', () => {
    book.succeeded('a', RIGHT);
    fail(20, '192.0.2.1', 'a');
    expect([book.wait('192.0.2.1', 'a', RIGHT, 0), book.wait('192.0.2.1', 'a', WRONG, 0)]).toEqual([0, 60]);
    book.failed('192.0.2.1', 'a', RIGHT, 0);
    expect(book.wait('192.0.2.1', 'a', RIGHT, 0)).toBe(60);
  });

  it('takes a bounded amount of memory', () => {
    for (let i = 0; i < 30_000; i++) {
      book.failed(`10.0.${i >> 8}.${i & 255}`, `client ${i}`, WRONG, 0);
      book.succeeded(`client ${i}`, RIGHT);
    }
    const { failures, good } = book as unknown as { failures: Map<string, unknown>; good: Map<string, unknown> };
    expect([failures.size, good.size]).toEqual([10_000, 10_000]);
  });
});
