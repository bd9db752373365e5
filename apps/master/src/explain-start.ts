import type { MasterConfig } from './config/config.js';

/** One sentence for an operator whose master did not start: what, why, and which setting. No secrets. */
export function explainStart(error: unknown, config: MasterConfig): string {
  const { code, message = String(error) } = error as { code?: string; message?: string };
  const database = new URL(config.DATABASE_URL);
  const where = `${database.hostname}:${database.port || 5432}${database.pathname}`;
  if (code === 'EADDRINUSE') return `PORT: the port ${config.PORT} is taken by another process; choose another`;
  if (code === 'EACCES' && message.includes('listen'))
    return `PORT: this user may not listen on port ${config.PORT}; choose one above 1023`;
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'ETIMEDOUT')
    return `DATABASE_URL: PostgreSQL at ${where} cannot be reached (${code})`;
  if (code === '28P01' || code === '28000')
    return `DATABASE_URL: PostgreSQL at ${where} refuses the user ${database.username} or its password`;
  if (code === '3D000') return `DATABASE_URL: PostgreSQL at ${where} has no such database`;
  if (code?.startsWith('store_')) return `ARTIFACT_STORE: ${message}`;
  return `did not start: ${error instanceof Error ? (error.stack ?? message) : message}`;
}
