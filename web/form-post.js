// @ts-check
/** Sends the answer to the client's address at once (OAuth 2.0 Form Post Response Mode). */

const form = document.getElementById('answer');
if (form instanceof HTMLFormElement) form.submit();
export {};
