// @ts-check
/** In the package: where a server has its endpoints by default, on the page's own origin. The attribute or option `base` says otherwise. */

const page = globalThis.document?.baseURI ?? '';

export const HERE = new URL('/api/auth/max/', /^https?:/.test(page) ? page : 'http://localhost').href;
