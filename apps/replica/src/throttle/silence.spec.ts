import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { until } from '#harness';
import { Silence } from './silence.js';

const never = (): Promise<void> => new Promise(() => undefined);

it('is told when no question was answered, once', async () => {
  let told = 0;
  const silence = new Silence(20, () => (told += 1));
  void silence.listen(never());
  void silence.listen(never());
  await until(() => told > 0, { what: 'the silence to be noticed' });
  await sleep(100);
  expect(told).toBe(1);
});

it('is not told of a pause of this process, in which the answer came', async () => {
  let told = 0;
  const silence = new Silence(50, () => (told += 1));
  const answered = silence.listen(sleep(70));
  const pausedUntil = performance.now() + 300;
  while (performance.now() < pausedUntil);
  await answered;
  expect(told).toBe(0);
});

it('is told of one question that stays open, although others are answered', async () => {
  let told = 0;
  const silence = new Silence(200, () => (told += 1));
  void silence.listen(never());
  await until(
    async () => {
      await silence.listen(sleep(10));
      return told > 0;
    },
    { what: 'the silence to be noticed' },
  );
});
