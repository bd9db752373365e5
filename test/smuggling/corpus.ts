import type { Family } from './case.js';
import { chunkExtensions, chunkSizes, trailers } from './families/chunks.js';
import { clTe } from './families/cl-te.js';
import { connectionOptions, fieldNames, hosts } from './families/fields.js';
import { ignoredLengths } from './families/ignored-lengths.js';
import { lengths } from './families/lengths.js';
import { leading, lineEnds, obsFold } from './families/lines.js';
import { targets } from './families/targets.js';
import { teCl } from './families/te-cl.js';
import { teTe } from './families/te-te.js';
import { expectAndUpgrade, methods, pipelining, versions } from './families/turns.js';

/** Every way of smuggling a request that is known to us: what is in here once stays. */
export const CORPUS: readonly Family[] = [
  clTe,
  teCl,
  teTe,
  ignoredLengths,
  lengths,
  chunkSizes,
  chunkExtensions,
  trailers,
  obsFold,
  lineEnds,
  leading,
  targets,
  fieldNames,
  hosts,
  connectionOptions,
  expectAndUpgrade,
  versions,
  methods,
  pipelining,
];
