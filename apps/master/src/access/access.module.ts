import { Module } from '@nestjs/common';
import { Authentication } from './access.guard.js';
import { AccessTokens } from './access-tokens.js';

@Module({ providers: [AccessTokens, Authentication], exports: [AccessTokens] })
export class AccessModule {}
