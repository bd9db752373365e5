import { type Logger, pino } from 'pino';

export type { Logger };
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * JSON lines on standard error, one per event, `time` in ISO 8601. ERROR means that somebody must act now.
 * The listed paths are removed wherever they stand, as a second net: nobody is to hand a secret to a log at all.
 */
export function createLog(app: string, level: LogLevel): Logger {
  return pino(
    {
      level,
      base: { app },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: [
          'secret',
          'token',
          'key',
          'password',
          'authorization',
          '*.secret',
          '*.token',
          '*.password',
          '*.authorization',
        ],
        censor: '[removed]',
      },
    },
    pino.destination({ fd: 2, sync: false, minLength: 0 }),
  );
}
