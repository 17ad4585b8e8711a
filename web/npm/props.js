// @ts-check
/** What the wrappers for React and Vue share: properties as attributes, and the events. */

export const EVENTS = ['status', 'qr', 'confirm', 'password', 'success', 'error', 'close'];

/** `onSuccess` @param {string} event */
export const handlerOf = (event) => `on${event[0].toUpperCase()}${event.slice(1)}`;

/**
 * An attribute is a text or is not there; `return-to` is `returnTo` here.
 * @param {Record<string, any>} props @returns {Record<string, any>} undefined where there is none
 */
export function attributesOf({ returnTo, clientId, redirectUri, redirect, autostart, ...rest }) {
  return {
    ...rest,
    'return-to': returnTo ?? undefined,
    'client-id': clientId ?? undefined,
    'redirect-uri': redirectUri ?? undefined,
    redirect: redirect == null ? undefined : String(redirect),
    autostart: autostart ? '' : undefined,
  };
}
