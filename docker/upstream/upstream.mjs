// What the APIs of the demonstration lead to, one in each region: says who it is, and what it was asked.
import { createServer } from 'node:http';

const region = process.env.REGION ?? 'nowhere';
const server = createServer(({ method, url: path }, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify({ upstream: region, method, path })}\n`);
});
server.listen(8080);
process.once('SIGTERM', () => server.close());
