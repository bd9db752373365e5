import type { SerializedError, UserConsoleLog } from 'vitest';
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

/** More unsteady tests than these fail a run. */
const UNSTEADY_BOUND = 3;

/**
 * One line per file, its failures in full below it (a run that is cut short has told them), at the end their names and what this
 * machine could not run and why. A test that failed and passed when it was run once more (`retry`) is unsteady: told in full and by
 * name, as a fault to be found, and few of them are borne. The last line is
 * `N passed, N failed`, alone, so that a script can read it; a file that does not load counts as one failure.
 */
export class HouseReporter implements Reporter {
  private vitest!: Vitest;
  private readonly consoleOutput = new Map<string, string>();

  onInit(vitest: Vitest): void {
    this.vitest = vitest;
  }

  /** Kept, and shown only for a file that fails: the output of passing tests hides the one that matters. */
  onUserConsoleLog(log: UserConsoleLog): void {
    const file = log.taskId === undefined ? undefined : this.vitest.state.idMap.get(log.taskId)?.file.filepath;
    if (file === undefined) this.write(log.content.trimEnd());
    else this.consoleOutput.set(file, (this.consoleOutput.get(file) ?? '') + log.content);
  }

  onTestModuleEnd(module: TestModule): void {
    const { passed, failed, skipped } = count(module);
    const parts = [`${passed} passed`, failed > 0 && `${failed} failed`, skipped > 0 && `${skipped} not run`];
    const seconds = (module.diagnostic().duration / 1000).toFixed(2);
    const mark = failed > 0 ? 'FAIL' : passed > 0 ? 'ok  ' : 'none';
    this.write(`${mark} ${module.relativeModuleId} (${parts.filter(Boolean).join(', ')}) ${seconds} s`);
    this.reportFailures(module);
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[], reason: string): void {
    const failed = modules.flatMap((module) =>
      [...module.children.allTests('failed')].map((test) => `  ${module.relativeModuleId} > ${test.fullName}`),
    );
    if (failed.length > 0) this.write(`\nFailed, told above\n${failed.join('\n')}`);
    const tooUnsteady = this.reportUnsteady(modules) > UNSTEADY_BOUND ? 1 : 0;
    if (tooUnsteady) process.exitCode = 1;
    // Its worker process died; the error below does not say whose.
    const unfinished = modules.filter((module) => ['queued', 'pending'].includes(module.state()));
    for (const module of unfinished) this.vitest.logger.error(`\nFAIL ${module.relativeModuleId} did not finish`);
    for (const error of unhandled) this.failure('outside of any test', [error]);
    this.reportNotRun(modules);
    const totals = modules.map(count);
    const sum = (key: 'passed' | 'failed') => totals.reduce((total, one) => total + one[key], 0);
    // Interrupted, or no test file matched: nothing failed, and yet it must not read as success.
    const broken = reason === 'interrupted' || modules.length === 0 ? 1 : 0;
    if (broken) this.write(reason === 'interrupted' ? '\nThe run was interrupted.' : '\nNo test files were found.');
    this.write(`\n${sum('passed')} passed, ${sum('failed') + unhandled.length + broken + tooUnsteady} failed`);
  }

  private reportFailures(module: TestModule): void {
    const file = module.relativeModuleId;
    for (const test of unsteadyOf(module)) {
      this.failure(`${file} > ${test.fullName}`, test.result().errors ?? [], 'UNSTEADY');
    }
    if (count(module).failed === 0) return;
    this.failure(file, module.errors());
    for (const suite of module.children.allSuites()) this.failure(`${file} > ${suite.fullName}`, suite.errors());
    for (const test of module.children.allTests('failed')) {
      this.failure(`${file} > ${test.fullName}`, test.result().errors ?? []);
    }
    const output = this.consoleOutput.get(module.moduleId);
    if (output !== undefined) this.vitest.logger.error(`\nOUTPUT ${file}\n${output.trimEnd()}`);
  }

  /** @returns how many tests passed only when they were run once more */
  private reportUnsteady(modules: readonly TestModule[]): number {
    const lines = modules.flatMap((module) =>
      unsteadyOf(module).map((test) => `  ${module.relativeModuleId} > ${test.fullName}`),
    );
    const bound = `more than ${UNSTEADY_BOUND} fail a run`;
    if (lines.length > 0)
      this.write(`\nUnsteady: failed, and passed when run once more (told above; ${bound})\n${lines.join('\n')}`);
    return lines.length;
  }

  private failure(where: string, errors: readonly SerializedError[], mark = 'FAIL'): void {
    if (errors.length > 0) this.vitest.logger.error(`\n${mark} ${where}`);
    for (const error of errors) this.vitest.logger.printError(error, { showCodeFrame: true });
  }

  private reportNotRun(modules: readonly TestModule[]): void {
    if (this.vitest.config.testNamePattern !== undefined) return; // left out by whoever started the run
    const lines = modules.flatMap((module) => notRun(module).map((line) => `  ${module.relativeModuleId} > ${line}`));
    if (lines.length > 0) this.write(`\nNot run here\n${lines.join('\n')}`);
  }

  private write(text: string): void {
    this.vitest.logger.log(text);
  }
}

function count(module: TestModule): { passed: number; failed: number; skipped: number } {
  const of = (state: 'passed' | 'failed' | 'skipped') => [...module.children.allTests(state)].length;
  // A file that does not load, or a hook that throws, has errors that belong to no test.
  const outsideTests = [module, ...module.children.allSuites()].filter((task) => task.errors().length > 0).length;
  return { passed: of('passed'), failed: of('failed') + outsideTests, skipped: of('skipped') };
}

const unsteadyOf = (module: TestModule): TestCase[] =>
  [...module.children.allTests('passed')].filter((test) => test.diagnostic()?.flaky === true);

/** The outermost skipped suites, then the single skipped tests, each with its reason. */
function notRun(parent: TestModule | TestSuite): string[] {
  if (parent.errors().length > 0) return []; // a hook failed, and that is told above
  const lines: string[] = [];
  for (const child of parent.children) {
    if (child.type === 'suite') {
      const tests = [...child.children.allTests()].length;
      const reason = child.meta().notRun;
      if (reason !== undefined) lines.push(`${child.fullName} (${plural(tests)}): ${reason}`);
      else lines.push(...notRun(child));
    } else {
      const result = child.result();
      if (result.state === 'skipped')
        lines.push(`${child.fullName}: ${result.note?.replace(/\s+/g, ' ') ?? 'no reason given'}`);
    }
  }
  return lines;
}

function plural(tests: number): string {
  return `${tests} test${tests === 1 ? '' : 's'}`;
}
