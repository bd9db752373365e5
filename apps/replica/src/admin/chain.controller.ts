import { Controller, Get, Inject, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#model';
import { NODE, type Node } from './node.js';

/** What other replicas follow where nothing else can be reached. Everything in it is signed, and nothing of it is secret. */
@Controller('chain')
export class ChainController {
  constructor(@Inject(NODE) private readonly node: Node) {}

  /**
   * GET, and HEAD by itself: `prod/head.json` and `prod/delta/<revision>`, the exact bytes as they were signed.
   *
   * @throws HelioError not_found for what is not here
   */
  @Get('*')
  async artifact(@Param('*') name: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const artifact = this.node.artifact(name);
    if (!artifact)
      throw fail('not_found', `${name.slice(0, 200)} is not here: only the head and the newest revisions are`);
    const tag = `"${artifact.etag}"`;
    void reply.headers({ etag: tag, 'cache-control': 'no-cache' });
    if (request.headers['if-none-match'] === tag) return void (await reply.status(304).send());
    await reply.header('content-type', 'application/octet-stream').send(artifact.bytes);
  }
}
