import { type DynamicModule, Module } from '@nestjs/common';
import { AskController } from './ask.controller.js';
import { Ask } from './ask.service.js';

/** GET /auth and POST /validate. */
@Module({})
export class AskModule {
  static with(ask: Ask): DynamicModule {
    return { module: AskModule, controllers: [AskController], providers: [{ provide: Ask, useValue: ask }] };
  }
}
