import type { HelioError } from '#model';
import type { Answer } from '../../http/request.js';

/** RFC 6749, 5.2; RFC 6750, 3.1; the last two as in RFC 6749, 4.1.2.1. */
type OAuthCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_scope'
  | 'unsupported_grant_type'
  | 'invalid_token'
  | 'temporarily_unavailable'
  | 'server_error';

/** A refusal in OAuth's form. The description is for developers, and repeats nothing that they have sent. */
export class OAuthFault extends Error {
  constructor(
    readonly code: OAuthCode,
    description: string,
    readonly status = 400,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(description);
  }
}

/** RFC 6749, 5.1 and 5.2: whatever the endpoint answers holds secrets, or speaks of them. */
export const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' } as const;

/** 401 also for a secret in the body: RFC 6749, 5.2 allows it, and it is what most clients look for. */
export function invalidClient(description: string): OAuthFault {
  return new OAuthFault('invalid_client', description, 401, { 'www-authenticate': 'Basic realm="heliograph"' });
}

/** Answers what `work` does, or its OAuthFault. */
export async function inOAuthForm(work: () => Promise<Answer>): Promise<Answer> {
  try {
    const answer = await work();
    return { ...answer, headers: { ...answer.headers, ...NO_STORE } };
  } catch (error) {
    if (!(error instanceof OAuthFault)) throw error;
    return answerOf(error);
  }
}

/** What has gone wrong before the handler was reached, or behind it, in the same form. */
export function asOAuthAnswer({ code, status, detail, headers }: HelioError): Answer {
  if (code === 'database_unavailable') return answerOf(new OAuthFault('temporarily_unavailable', detail, 503, headers));
  if (status >= 500) return answerOf(new OAuthFault('server_error', detail, status, headers));
  return answerOf(new OAuthFault('invalid_request', detail, 400));
}

function answerOf({ code, message, status, headers }: OAuthFault): Answer {
  const body = { error: code, error_description: printable(message) };
  return { status, body, headers: { ...headers, ...NO_STORE } };
}

/** RFC 6749, 5.2: %x20-21 / %x23-5B / %x5D-7E. */
function printable(text: string): string {
  return text.replaceAll('"', "'").replace(/[^\x20-\x5b\x5d-\x7e]/g, '?');
}
