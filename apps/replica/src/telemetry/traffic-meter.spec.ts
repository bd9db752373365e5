import { expect, it } from 'vitest';
import { TrafficMeter } from './traffic-meter.js';

/** As a worker tells it: an API and its requests by class of the status, in turns. */
const report = (ok: number, errors: number): (string | number)[] => ['weather:v1', 0, 0, ok, 0, 0, errors];

it('tells the requests and the 5xx of the last half minute, of all APIs and workers', () => {
  let now = 0;
  const meter = new TrafficMeter(() => now);
  expect(meter.rate).toEqual({ requestsPerSecond: 0, errorsPerSecond: 0 });
  now = 60_000;
  meter.add([...report(280, 10), ...report(7, 0)]);
  meter.add(report(0, 3));
  expect(meter.rate).toEqual({ requestsPerSecond: 10, errorsPerSecond: 0.4 });
  now += 29_999;
  expect(meter.rate.requestsPerSecond).toBe(10);
  now += 1;
  expect(meter.rate).toEqual({ requestsPerSecond: 0, errorsPerSecond: 0 });
});

it('divides by the time since it began as long as that is shorter', () => {
  let now = 5_000;
  const meter = new TrafficMeter(() => now);
  now += 10_000;
  meter.add(report(50, 0));
  expect(meter.rate.requestsPerSecond).toBe(5);
});
