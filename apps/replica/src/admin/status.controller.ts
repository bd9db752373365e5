import { Controller, Get, Header, Inject } from '@nestjs/common';
import type { NodeStatus } from '../status-view.js';
import { NODE, type Node } from './node.js';

@Controller()
export class StatusController {
  constructor(@Inject(NODE) private readonly node: Node) {}

  @Get('status')
  status(): NodeStatus {
    return this.node.status();
  }

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  metrics(): Promise<string> {
    return this.node.metrics();
  }
}
