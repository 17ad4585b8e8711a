// A real Chromium. Watches what a page says and where it goes.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { CHROMIUM, CHROMIUM_ARGS } from './chromium.mjs';

// The certificates of these tests were made a minute ago.
const ARGS = [...CHROMIUM_ARGS, '--ignore-certificate-errors'];

export async function startBrowser() {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS, timeout: 30_000 });
  return {
    stop: () => browser.close(),

    /** A browser profile of its own. `complaints` fills with whatever a careful developer would not accept. */
    async profile({ home, ...options } = {}) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'ru-RU', ...options });
      context.setDefaultTimeout(15_000);
      const complaints = [];
      const allowed = home && new URL(home).host;
      context.on('console', (message) => {
        if (['error', 'warning'].includes(message.type()))
          complaints.push(`console ${message.type()}: ${message.text()} (${message.location()?.url})`);
      });
      context.on('weberror', (found) => complaints.push(`uncaught: ${found.error().stack ?? found.error()}`));
      context.on('request', (request) => {
        const { protocol, host } = new URL(request.url());
        if (allowed && /^(http|ws)s?:$/.test(protocol) && host !== allowed) complaints.push(`went to ${request.url()}`);
      });
      const sockets = [];
      context.on('page', (page) =>
        page.on('websocket', (socket) => {
          sockets.push(socket);
          if (allowed && new URL(socket.url()).host !== allowed) complaints.push(`went to ${socket.url()}`);
        }),
      );
      // The events of the document itself; the console shows some violations and not others.
      await context.exposeBinding('reportViolation', (_source, text) => complaints.push(`policy: ${text}`));
      await context.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (event) => {
          window.reportViolation(
            `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
          );
        });
      });
      return { context, complaints, sockets, page: () => context.newPage(), stop: () => context.close() };
    },
  };
}

/** Takes a picture when SCREENSHOTS names a folder. */
export async function screenshot(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true, animations: 'disabled' });
}
