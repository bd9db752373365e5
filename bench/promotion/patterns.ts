/** How the traffic of one API goes in a region at one moment, for the release that answers there. */
export interface Load {
  /** requests of one report, on average */
  rate: number;
  /** of them answered with 500 and above */
  errors: number;
  /** milliseconds */
  median: number;
  /** of requests that take ten times as long */
  slow: number;
}

export interface Moment {
  /** reports since the wave began, below 0 before it */
  report: number;
  /** one of the wave's, of which there are two; null: another one, which has the release from before */
  region: 0 | 1 | null;
  /** whether the new release answers */
  fresh: boolean;
}

/** @param random from 0 up to, without, 1 */
type Pattern = (random: () => number) => (usual: Load, moment: Moment) => Load;

/** Reports of a soak: five minutes, one every five seconds. */
export const SOAK_REPORTS = 60;

const between = (from: number, to: number, random: () => number): number => from + (to - from) * random();
const during = (report: number, from: number, length: number): boolean => report >= from && report < from + length;
const same: Pattern = () => (usual) => usual;

/** How a release is no worse than the one before it, whatever else goes on. */
export const GOOD: Record<string, Pattern> = {
  steady: same,
  'by day and by night': (random) => {
    const [phase, length] = [between(0, 2 * Math.PI, random), between(60, 720, random)];
    return (usual, { report }) => {
      const tide = 1 + 0.8 * Math.sin(phase + (2 * Math.PI * report) / length);
      return { ...usual, rate: usual.rate * tide, median: usual.median * (0.8 + 0.3 * tide) };
    };
  },
  'in bursts':
    () =>
    (usual, { report }) => ({ ...usual, rate: report % 7 === 0 ? usual.rate * 6 : usual.rate / 6 }),
  'few requests': (random) => {
    const rate = between(0.05, 0.5, random);
    return (usual) => ({ ...usual, rate });
  },
  'an upstream fails everywhere': (random) => {
    const [share, from, length] = [between(0.1, 1, random), between(0, 40, random), between(4, 40, random)];
    return (usual, { report }) => ({ ...usual, errors: during(report, from, length) ? share : usual.errors });
  },
  'an upstream failed before, and does': (random) => {
    const share = between(0.02, 0.3, random);
    return (usual, { region }) => (region === null ? usual : { ...usual, errors: share });
  },
  'a region is slow, and was': (random) => {
    const factor = between(1.5, 6, random);
    return (usual, { region }) => (region === 0 ? { ...usual, median: usual.median * factor } : usual);
  },
  'latency creeps up everywhere': (random) => {
    const factor = between(1.5, 3, random);
    return (usual, { report }) => ({
      ...usual,
      median: usual.median * (1 + ((factor - 1) * Math.max(0, report)) / SOAK_REPORTS),
    });
  },
  'a stall of some seconds': (random) => {
    const [from, length, factor] = [between(0, 55, random), between(1, 4, random), between(3, 20, random)];
    return (usual, { report, region }) =>
      region === 0 && during(report, from, length) ? { ...usual, median: usual.median * factor } : usual;
  },
};

/** How a release is worse than what is allowed. */
export const BAD: Record<string, Pattern> = {
  'answers 500': () => worse((usual) => ({ ...usual, errors: 1 })),
  'a share of errors': (random) => {
    const share = between(0.05, 0.5, random);
    return worse((usual) => ({ ...usual, errors: share }));
  },
  'a small share of errors': (random) => {
    const share = between(0.03, 0.05, random);
    return worse((usual) => ({ ...usual, errors: share }));
  },
  'errors in one region': (random) => {
    const share = between(0.1, 1, random);
    return worse((usual, { region }) => (region === 0 ? { ...usual, errors: share } : usual));
  },
  'errors, in bursts': (random) => {
    const share = between(0.05, 0.5, random);
    return worse((usual, { report }) => {
      const rate = report % 7 === 0 ? usual.rate * 6 : usual.rate / 6;
      return { ...usual, rate, errors: share };
    });
  },
  'errors, few requests': (random) => {
    const [rate, share] = [between(0.05, 0.5, random), between(0.1, 1, random)];
    return (usual, { fresh }) => ({ ...usual, rate, errors: fresh ? share : usual.errors });
  },
  'errors after a while': (random) => {
    const [share, from] = [between(0.1, 1, random), between(6, 40, random)];
    return worse((usual, { report }) => (report >= from ? { ...usual, errors: share } : usual));
  },
  'errors creep up': (random) => {
    const most = between(0.1, 0.5, random);
    return worse((usual, { report }) => ({
      ...usual,
      errors: Math.max(usual.errors, Math.min(most, (most * report) / SOAK_REPORTS)),
    }));
  },
  slower: (random) => {
    const factor = between(2.5, 8, random);
    return worse((usual) => ({ ...usual, median: usual.median * factor }));
  },
  'some requests slower': (random) => {
    const share = between(0.15, 0.4, random);
    return worse((usual) => ({ ...usual, slow: share }));
  },
};

function worse(change: (usual: Load, moment: Moment) => Load): ReturnType<Pattern> {
  return (usual, moment) => (moment.fresh ? change(usual, moment) : usual);
}
