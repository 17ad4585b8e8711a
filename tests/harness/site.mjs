// The site's own application behind the proxies: one page with the widget on it.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { BASE_PATH } from './server.mjs';

const PAGE = `<!doctype html>
<html lang="ru">
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A site</title>
<script type="module" src="${BASE_PATH}/widget.js"></script>
<h1>A site</h1>
<max-auth-button></max-auth-button>
</html>`;

export async function startSite() {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(PAGE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
