import { Tally } from './import-report.js';
import { type JsonObject, members, own, shorten } from './place.js';

const WARNINGS = {
  'operations open in the document':
    'Their routes have the security of the API nevertheless; honourOpenOperations: true lets them be called openly.',
  'open operations of widened paths':
    'Their routes take more than the document leaves open, and ask for a key therefore.',
  'security that is not a list': 'It counts as asking for a credential.',
  'operations that ask for tokens':
    'Their routes have the security of the API nevertheless; honourTokens: true makes them take tokens, and require the scopes.',
  'alternatives with other scopes':
    'A route has one list of scopes: those of the first alternative with a token are required of every credential.',
  'tokens together with something else': 'A route takes one credential: the token.',
  'API keys in the document':
    'Keys are taken from there only if `credential` names it; the upstream sees them then only with `forward`.',
  'servers that cannot be used': 'They are not absolute http(s) URLs without credentials, query and fragment.',
  'operationIds that come again': 'Metrics and logs do not tell these routes apart by id.',
  'operationIds that are not used': 'An id is text of 1 to 256 characters. The routes have none.',
  'fields beside a $ref': 'They are also in what the $ref refers to; those beside it are used.',
  'paths without operations': 'They make no route.',
  'no plan': 'Nobody can subscribe to a release without plans.',
} as const;

export class Warnings extends Tally<keyof typeof WARNINGS> {
  constructor() {
    super(WARNINGS);
  }
}

/** Where the document says that API keys are sent, for a publisher whose callers hold keys already. */
export function warnOfApiKeys(root: JsonObject, warnings: Warnings): void {
  for (const [name, scheme] of members(own(own(root, 'components'), 'securitySchemes'))) {
    const where = own(scheme, 'in');
    const field = own(scheme, 'name');
    if (own(scheme, 'type') !== 'apiKey' || (where !== 'header' && where !== 'query') || typeof field !== 'string')
      continue;
    warnings.add(
      'API keys in the document',
      ['components', 'securitySchemes', name],
      ` (${where} ${shorten(field, 100)})`,
    );
  }
}
