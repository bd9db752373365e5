import { Readable } from 'node:stream';
import { Controller, Req } from '@nestjs/common';
import { blobName, LIMITS, segmentName, snapshotName } from '#artifacts';
import { fail } from '#model';
import { Input, type InputOf, Route } from '../../http/endpoint.js';
import type { Answer, MasterRequest } from '../../http/request.js';
import { getChainBlob, getChainDelta, getChainHead, getChainSegment, getChainSnapshot } from './chain.endpoints.js';
import { ChainObjects, type FoundObject } from './chain-objects.js';

/** `GET|HEAD /v1/chain/<name of an object of the store>`: the chain over HTTP, to replicas. */
@Controller()
export class ChainController {
  constructor(private readonly objects: ChainObjects) {}

  @Route(getChainHead)
  head(@Input() { params }: InputOf<typeof getChainHead>, @Req() request: MasterRequest): Promise<Answer> {
    return this.answer(request, params.environment, () => this.objects.head(params.environment));
  }

  @Route(getChainDelta)
  delta(@Input() { params }: InputOf<typeof getChainDelta>, @Req() request: MasterRequest): Promise<Answer> {
    const { environment, revision } = params;
    const isHead = request.method === 'HEAD';
    return this.answer(request, environment, () => this.objects.delta(environment, Number(revision), isHead));
  }

  @Route(getChainSegment)
  segment(@Input() { params }: InputOf<typeof getChainSegment>, @Req() request: MasterRequest): Promise<Answer> {
    const { environment, level, index } = params;
    return this.passOn(
      request,
      environment,
      segmentName(environment, Number(level), Number(index)),
      LIMITS.segmentBytes,
    );
  }

  @Route(getChainSnapshot)
  snapshot(@Input() { params }: InputOf<typeof getChainSnapshot>, @Req() request: MasterRequest): Promise<Answer> {
    const { environment, revision } = params;
    if (Number(revision) === 0) throw fail('not_found', 'there is no snapshot of revision 0');
    return this.passOn(request, environment, snapshotName(environment, Number(revision)), LIMITS.manifestBytes);
  }

  @Route(getChainBlob)
  blob(@Input() { params }: InputOf<typeof getChainBlob>, @Req() request: MasterRequest): Promise<Answer> {
    const { environment, sha256 } = params;
    return this.passOn(request, environment, blobName(environment, sha256), LIMITS.blobBytes);
  }

  private passOn(request: MasterRequest, environment: string, name: string, limit: number): Promise<Answer> {
    const find = (): Promise<FoundObject | null> =>
      request.method === 'HEAD' ? this.objects.sizeOf(name) : this.objects.stored(name, limit, request.raw);
    return this.answer(request, environment, find);
  }

  private async answer(
    request: MasterRequest,
    environment: string,
    find: () => Promise<FoundObject | null>,
  ): Promise<Answer> {
    await this.objects.admit(request.identity?.actor ?? '', environment);
    const object = await find();
    if (!object) throw fail('not_found', `there is no ${request.url.split('?')[0]?.replace('/v1/chain/', '')}`);
    const { size, etag, bytes } = object;
    if (etag !== undefined && request.headers['if-none-match'] === `"${etag}"`) return { status: 304, etag };
    // a stream is what Fastify leaves the length of a HEAD answer alone for
    return { status: 200, etag, body: bytes ?? Readable.from([]), headers: { 'content-length': String(size) } };
  }
}
