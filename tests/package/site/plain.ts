// A page of its own language, no framework: elements, typed events, the client's types.
import { startMaxAuth, type OnEvent } from 'max-auth';
import 'max-auth/widget';
import type { MaxAuthButton } from 'max-auth/widget';

const button = document.createElement('max-auth-button');
const isOurs: MaxAuthButton = button;
isOurs.setAttribute('base', new URLSearchParams(location.search).get('base') ?? '');
button.setAttribute('locale', 'en');
button.texts = { title: 'Sign in to the shop', errors: { declined: ['No', 'Somebody said no.'] } };
button.addEventListener('max-auth-qr', ({ detail }) => {
  const link: string = detail.qrLink;
  document.title = `code ${link.length > 20} ${detail.ttl > 0}`;
});
document.addEventListener('max-auth-success', (event) => {
  event.preventDefault();
  const name: string | undefined = event.detail.session?.name;
  console.log(name, event.detail.token.length);
});
button.addEventListener('max-auth-close', ({ detail }) => detail satisfies null);
document.body.append(button);
document.querySelector('max-auth-panel')?.start();

export const own: OnEvent = (event, data) => {
  if (event === 'qr') console.log(data.svg.length);
  if (event === 'error') console.log(data.retryAfter ?? 0);
  // @ts-expect-error a code has no message
  if (event === 'qr') console.log(data.message);
};
// @ts-expect-error there is no such text
export const wrong = () => (button.texts = { titel: 'x' });
export const begin = () => startMaxAuth(own, { redeem: true })();
