// A real browser that signs in again and again at the ready page, while others do the same by the hundred.

import { eventually, pause } from '../harness/time.mjs';

/** A dialog that is not over by then is dead, in ms. */
const DEAD_MS = 60_000;

/** Signs in until `done()`; gives {signedIn, reloads, faults}. */
export async function dialogs(browser, { base, emulator, done }) {
  const found = { signedIn: 0, reloads: 0, faults: [] };
  while (!done()) {
    const profile = await browser.profile();
    try {
      await profile.context.addInitScript(() => {
        window.links = [];
        const look = () => {
          const link = document.querySelector('.link')?.href;
          if (link && link !== window.links.at(-1)) window.links.push(link);
        };
        new MutationObserver(look).observe(document, { subtree: true, childList: true, attributeFilter: ['href'] });
      });
      const page = await profile.page();
      await opened(page, base, found);
      const began = performance.now();
      await signedIn(page, base, emulator, found);
      found.signedIn += 1;
      found.slowestMs = Math.max(found.slowestMs ?? 0, Math.round(performance.now() - began));
    } catch (error) {
      found.faults.push(`the dialog in the browser: ${error.message}`);
      return found;
    } finally {
      await profile.stop();
    }
  }
  return found;
}

/** A page that a node took with it is loaded again, as people do. */
async function opened(page, base, found) {
  for (;;) {
    const code = async () => {
      await page.goto(`${base}/login`, { timeout: 5000 });
      // The script has begun.
      const begun = () => document.getElementById('plain')?.hidden || document.getElementById('end')?.hidden === false;
      await page.waitForFunction(begun, null, { timeout: 5000 });
    };
    const error = await code().then(
      () => null,
      (error) => error,
    );
    if (!error) return;
    found.reloads += 1;
    if (found.reloads > 20) throw error;
    await pause(500);
  }
}

async function signedIn(page, base, emulator, found) {
  let approved;
  const isOver = async () => {
    if (!page.url().includes('/login')) return true;
    const links = await page.evaluate(() => window.links).catch(() => []);
    if (new Set(links).size < links.length) found.faults.push(`a code twice: ${links}`);
    const link = links.at(-1);
    if (link && link !== approved) {
      // Somebody takes the phone out first.
      await pause(1500);
      const track = new URL(link).pathname.split('/').pop();
      await emulator.approve(track).then(
        () => (approved = link),
        () => {},
      );
    }
    return false;
  };
  await eventually(isOver, 'the page to be signed in', DEAD_MS, 200).catch(async (error) => {
    const looks = () => [document.querySelector('max-auth-panel')?.state, window.links, document.body.innerText];
    const seen = await page.evaluate(looks).catch(({ message }) => message);
    throw new Error(`${error.message}; approved ${approved}; the page: ${JSON.stringify(seen)} at ${page.url()}`);
  });
  const session = async () => (await page.context().request.get(`${base}/session`)).status() === 200;
  await eventually(session, 'the session', 15_000, 500);
}
