import { Module } from '@nestjs/common';
import { WritesModule } from '../writes/writes.module.js';
import { AccessModule } from './access.module.js';
import { AccessTokensController } from './access-tokens.controller.js';
import { AuditController } from './audit.controller.js';

@Module({ imports: [AccessModule, WritesModule], controllers: [AccessTokensController, AuditController] })
export class AuditModule {}
