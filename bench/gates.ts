import { machineLine, quantile } from './machine.js';
import { numbersFrom, say } from './options.js';
import { randomFrom, type Trial, trials } from './promotion/gate-trial.js';

const { patterns, seed } = numbersFrom(
  `
The gates of a promotion, as they are unless told otherwise, against random patterns of traffic: as many releases that are no worse than the
one before as such that are. A wave of two regions, one more to compare with, a soak of five minutes, 30 to 600 requests a minute in each region,
processes of replicas that begin anew now and then. False: a good one that is rolled back, a bad one that passes.`,
  { patterns: 1000, seed: 1 },
);

const WIDTHS = [5, 6, 11, 5, 12, 12];

function row(name: string, cells: readonly (number | string)[]): string {
  return `  ${name.padEnd(36)}${cells.map((cell, n) => `${cell}`.padStart((WIDTHS[n] ?? 0) + 2)).join('')}`;
}

function line(name: string, all: readonly Trial[]): string {
  const of = (outcome: Trial['outcome']): Trial[] => all.filter((one) => one.outcome === outcome);
  const median = (trials: readonly Trial[]): string =>
    trials.length === 0
      ? '-'
      : `${quantile(
          trials.map(({ seconds }) => seconds),
          0.5,
        )} s`;
  const [passed, failed, waiting] = [of('passes'), of('failed'), of('waits')];
  return row(name, [all.length, passed.length, failed.length, waiting.length, median(passed), median(failed)]);
}

say(machineLine());
const all = [...trials(patterns, randomFrom(seed))];
for (const good of [true, false]) {
  const these = all.filter((one) => one.good === good);
  say(
    row(good ? 'releases that are no worse' : 'releases that are worse', [
      'all',
      'passed',
      'rolled back',
      'wait',
      'to pass',
      'to roll back',
    ]),
  );
  for (const kind of new Set(these.map((one) => one.kind)))
    say(
      line(
        kind,
        these.filter((one) => one.kind === kind),
      ),
    );
  say(line('together', these));
}
const wrong = (good: boolean, outcome: Trial['outcome']): string => {
  const these = all.filter((one) => one.good === good && one.outcome === outcome);
  return `${these.length} of ${all.filter((one) => one.good === good).length}`;
};
say(`false rollbacks: ${wrong(true, 'failed')}; false passes: ${wrong(false, 'passes')}`);
