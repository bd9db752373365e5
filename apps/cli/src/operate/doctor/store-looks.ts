import type { Head } from '#artifacts';
import { fault, fine, type Look, warning } from './finding.js';

export interface StoreFacts {
  environment: string;
  /** why it cannot be read; null: it can */
  unreadable: string | null;
  /** null: there is none, or `headFault` */
  head: Head | null;
  headFault: string | null;
  /** whether its signature is one of those who are believed; `later`: of somebody whom the keys of a join do not name */
  signed: 'rightly' | 'later' | 'unchecked';
  /** names of objects that a reader of this head asks for, and that are not there */
  missing: string[];
}

/** @param now milliseconds since 1970 */
export function looksAtStore(
  { environment, unreadable, head, headFault, signed, missing }: StoreFacts,
  now: number,
): Look[] {
  if (unreadable !== null)
    return [
      fault(
        'reachable',
        unreadable,
        'Replicas without a stream, and new ones, get nothing from it.',
        'See if it is up, the network, and the credentials: S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY.',
      ),
    ];
  const check = `head of ${environment}`;
  if (!head)
    return [
      fault(
        check,
        headFault ?? 'there is none',
        'Without a head that they believe replicas take nothing from it.',
        'Find out who writes there; `helio verify` says what else is wrong. A running master fills an empty store again.',
      ),
    ];
  const looks: Look[] = [lookAtSignature(check, head, signed)];
  if (now > head.expiresAt)
    looks.push(
      warning(
        `age of ${environment}`,
        `no master has signed a head for ${Math.round((now - head.issuedAt) / 1000)} s`,
        'Who follows the store alone counts as stale.',
        'See if a master leads the environment, and if it can write here.',
      ),
    );
  for (const name of missing)
    looks.push(
      fault(
        `objects of ${environment}`,
        `${name} is not there`,
        'Replicas that need it cannot catch up from here.',
        '`helio verify` looks at everything. Take the folder away while a master runs: it is filled again.',
      ),
    );
  return looks;
}

function lookAtSignature(check: string, { epoch, keyId, revision }: Head, signed: StoreFacts['signed']): Look {
  const told = `revision ${revision}, epoch ${epoch}`;
  if (signed === 'rightly') return fine(check, `${told}, signed by ${keyId}`);
  if (signed === 'unchecked')
    return warning(
      check,
      `${told}; its signature was not checked`,
      'Anybody could have written it.',
      'Give --trusted-keys.',
    );
  return warning(
    check,
    `${told}, signed by ${keyId}, which is none of the keys that this replica was told when it joined`,
    'After a rotation of the signing key that is right: the replica has read the new one in the chain. Without one, somebody else writes there.',
    'Give --trusted-keys, as `helio signing-key list` names them; a replica that is live has checked it.',
  );
}
