import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Controller, Get, Header, Param } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { ERRORS, fail } from '#model';
import { ENDPOINT, type EndpointSpec } from '../http/endpoint.js';
import { ok, type Answer } from '../http/request.js';
import { VERSION } from '../version.js';
import { openApiDocument } from './openapi-document.js';

const ASSETS: Record<string, string> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const PAGE = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>Heliograph API</title>
  <link rel="icon" href="/docs/favicon-32x32.png">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
  <div id="ui"></div>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
`;
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#ui', deepLinking: true, tryItOutEnabled: true, persistAuthorization: false });\n`;

/** `/openapi.json`, made from the endpoints that are mounted; `/docs`, to browse and try it; `/docs/errors`, the codes. */
@Controller()
export class DocsController {
  private document: object | null = null;

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  @Get()
  home(): Answer<undefined> {
    return { status: 302, headers: { location: '/docs' } };
  }

  @Get('openapi.json')
  openapi(): Answer<object> {
    this.document ??= openApiDocument(this.specs(), VERSION);
    return ok(this.document);
  }

  @Get('docs')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'")
  page(): Answer<string> {
    return ok(PAGE);
  }

  @Get('docs/errors')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
  errors(): Answer<string> {
    const rows = Object.entries(ERRORS).map(
      ([code, e]) =>
        `<tr id="${code}"><td><code>${code}</code><td>${e.status}<td>${e.title}<td>${e.cause}<td>${e.action}`,
    );
    return ok(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Heliograph error codes</title><style>body{font:15px sans-serif}td,th{padding:.4em .8em;text-align:left;vertical-align:top}tr:target{background:#ffd}</style>
<h1>Error codes</h1><table><tr><th>code<th>status<th>title<th>cause<th>what to do${rows.join('\n')}</table></html>\n`);
  }

  @Get('docs/:asset')
  asset(@Param('asset') asset: string): Answer<Buffer | string> {
    if (asset === 'start.js')
      return { status: 200, body: START, headers: { 'content-type': 'text/javascript; charset=utf-8' } };
    const type = Object.hasOwn(ASSETS, asset) ? ASSETS[asset] : undefined;
    if (!type) throw fail('not_found', `there is no GET /docs/${asset.slice(0, 100)}`);
    const path = createRequire(import.meta.url).resolve(`swagger-ui-dist/${asset}`);
    return {
      status: 200,
      body: readFileSync(path),
      headers: { 'content-type': type, 'cache-control': 'max-age=3600' },
    };
  }

  private specs(): EndpointSpec[] {
    return this.discovery.getControllers().flatMap((wrapper) => {
      const prototype = wrapper.metatype?.prototype as Record<string, object> | undefined;
      if (!prototype) return [];
      return this.scanner.getAllMethodNames(prototype).flatMap((name) => {
        const spec = Reflect.getMetadata(ENDPOINT, prototype[name] ?? {}) as EndpointSpec | undefined;
        return spec ? [spec] : [];
      });
    });
  }
}
