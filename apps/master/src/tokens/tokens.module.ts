import { Module } from '@nestjs/common';
import { AccessModule } from '../access/access.module.js';
import { ConsumersModule } from '../consumers/consumers.module.js';
import { WritesModule } from '../writes/writes.module.js';
import { ClientsController } from './clients/clients.controller.js';
import { ClientsService } from './clients/clients.service.js';
import { IssuersController } from './issuers/issuers.controller.js';
import { IssuersService } from './issuers/issuers.service.js';
import { KeyRefresher } from './issuers/key-refresher.js';
import { OutsideClientsController } from './issuers/outside-clients.controller.js';
import { OutsideClientsService } from './issuers/outside-clients.service.js';
import { TokenKeys } from './keys/token-keys.js';
import { TokenKeysController } from './keys/token-keys.controller.js';
import { TokenKeysService } from './keys/token-keys.service.js';
import { LeakedController } from './leaked/leaked.controller.js';
import { LeakedService } from './leaked/leaked.service.js';
import { ClientAuthentication } from './oauth/client-authentication.js';
import { TokenIntrospection } from './oauth/introspection.js';
import { OAuthController } from './oauth/oauth.controller.js';
import { OwnTokens } from './oauth/own-tokens.js';
import { TokenRevocation } from './oauth/revocation.js';
import { TokenIssue } from './oauth/token-issue.js';
import { WellKnownController } from './oauth/well-known.controller.js';
import { OwnIssuer } from './own-issuer.js';
import { RevokedTokensController } from './revoked/revoked-tokens.controller.js';
import { RevokedTokensService } from './revoked/revoked-tokens.service.js';
import { TokenKeeper } from './token-keeper.js';

/** OAuth 2.0 client credentials: clients, the tokens that they obtain, and the keys by which those are signed. */
@Module({
  imports: [AccessModule, ConsumersModule, WritesModule],
  controllers: [
    ClientsController,
    TokenKeysController,
    RevokedTokensController,
    OAuthController,
    WellKnownController,
    IssuersController,
    OutsideClientsController,
    LeakedController,
  ],
  providers: [
    OwnIssuer,
    TokenKeys,
    TokenKeysService,
    TokenKeeper,
    ClientsService,
    RevokedTokensService,
    ClientAuthentication,
    TokenIssue,
    OwnTokens,
    TokenIntrospection,
    TokenRevocation,
    IssuersService,
    KeyRefresher,
    OutsideClientsService,
    LeakedService,
  ],
  exports: [OwnIssuer, IssuersService],
})
export class TokensModule {}
