import { applyDecorators, Controller, Post, Req } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { type Answer, type MasterRequest, ok } from '../../http/request.js';
import { type Form, parseForm } from './form.js';
import { TokenIntrospection } from './introspection.js';
import { asOAuthAnswer, inOAuthForm, OAuthFault } from './oauth-fault.js';
import { TokenRevocation } from './revocation.js';
import { TokenIssue } from './token-issue.js';

const FORM_BYTES = 32 * 1024;

/** Not among the endpoints of `/v1`: parameters, errors and headers are those of OAuth. */
const OAuthEndpoint = (path: string): MethodDecorator =>
  applyDecorators(
    Post(path),
    RouteConfig({ bodyLimit: FORM_BYTES, consumes: ['application/x-www-form-urlencoded'], errorForm: asOAuthAnswer }),
  );

@Controller('oauth')
export class OAuthController {
  constructor(
    private readonly tokens: TokenIssue,
    private readonly introspection: TokenIntrospection,
    private readonly revocation: TokenRevocation,
  ) {}

  @OAuthEndpoint('token')
  token(@Req() request: MasterRequest): Promise<Answer> {
    return inOAuthForm(async () => ok(await this.tokens.issue(request, formOf(request))));
  }

  @OAuthEndpoint('introspect')
  introspect(@Req() request: MasterRequest): Promise<Answer> {
    return inOAuthForm(async () => ok(await this.introspection.introspect(request, formOf(request))));
  }

  @OAuthEndpoint('revoke')
  revoke(@Req() request: MasterRequest): Promise<Answer> {
    return inOAuthForm(() => this.revocation.revoke(request, formOf(request)));
  }
}

/** @throws OAuthFault `invalid_request`: also for parameters in the URL, which ends up in logs (RFC 6749, 2.3.1) */
function formOf(request: MasterRequest): Form {
  if (request.url.includes('?'))
    throw new OAuthFault('invalid_request', 'parameters belong in the body, not in the URL');
  return parseForm(request.body);
}
