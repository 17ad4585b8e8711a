// @ts-check
/**
 * Tells the page that opened this window how the sign-in ended, and nobody else: a message goes to the origin that is
 * registered. Where that page is gone, or its Cross-Origin-Opener-Policy has parted the two, only a link is left.
 */

const form = document.getElementById('answer');
const alone = document.getElementById('alone');
if (form instanceof HTMLFormElement && alone && opener && !opener.closed) {
  alone.remove();
  const response = Object.fromEntries([...new FormData(form)]);
  opener.postMessage({ type: 'authorization_response', response }, form.dataset.origin);
  close();
} else form?.remove();
export {};
