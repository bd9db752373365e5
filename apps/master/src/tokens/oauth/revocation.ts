import { Injectable } from '@nestjs/common';
import { TOKEN_SKEW_SECONDS } from '#model';
import { type Answer, ok, type MasterRequest } from '../../http/request.js';
import { Writes } from '../../writes/writes.js';
import { addRevoked } from '../revoked/revoked-tokens.service.js';
import { ClientAuthentication } from './client-authentication.js';
import { type Form, required } from './form.js';
import { OAuthFault } from './oauth-fault.js';
import { OwnTokens } from './own-tokens.js';

/** Every one is an entry on every replica of the environment until it expires: nobody may fill their disks. */
const MOST_OF_CLIENT = 10_000;

@Injectable()
export class TokenRevocation {
  constructor(
    private readonly clients: ClientAuthentication,
    private readonly tokens: OwnTokens,
    private readonly writes: Writes,
  ) {}

  /** RFC 7009: a token that is unknown, or has expired, is as good as revoked. @throws OAuthFault */
  async revoke(request: MasterRequest, form: Form): Promise<Answer> {
    const { id } = await this.clients.authenticate(request, form);
    // gateways take it a little longer than it says
    const token = await this.tokens.read(required(form, 'token'), TOKEN_SKEW_SECONDS);
    if (!token) return ok({});
    if (token.client !== id) throw new OAuthFault('invalid_grant', 'the token was issued to another client');
    const { environment, issuer, jti, expiresAt } = token;
    const caller = { actor: id, role: 'public', requestId: request.id, idempotency: null, ifMatch: null } as const;
    return this.writes.run(caller, async (tx) => {
      const [row]: { revoked: string }[] = await tx.manager.query(
        'SELECT count(*) AS revoked FROM revoked_token WHERE client_id = $1',
        [id],
      );
      if (Number(row?.revoked) >= MOST_OF_CLIENT)
        throw new OAuthFault('temporarily_unavailable', 'too many tokens of the client are revoked already', 503, {
          'retry-after': '3600',
        });
      await addRevoked(tx, { environment, issuer, jti, expiresAt: new Date(expiresAt * 1000), client: id });
      return ok({});
    });
  }
}
