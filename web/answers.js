// @ts-check
/** What an answer says that is not the wished one: a problem of the server's, or the word of something on the way. */

/** @typedef {{ status: number, code: string, message: string, retryAfter: number | null }} Problem */

/**
 * Reads an answer that is not the wished one. A body that is no problem document (a proxy's HTML page) gives code "".
 * @param {Response} response
 * @param {number} now
 * @returns {Promise<Problem>}
 */
export async function readProblem(response, now) {
  const body = await readJson(response);
  const text = (/** @type {unknown} */ value) => (typeof value === 'string' ? value : '');
  return {
    status: response.status,
    code: text(body?.code),
    message: text(body?.detail) || text(body?.title),
    retryAfter: parseRetryAfter(response.headers.get('retry-after'), now),
  };
}

/**
 * @param {Response} response
 * @returns {Promise<any>} null when the body is not a JSON object
 */
export async function readJson(response) {
  try {
    const body = JSON.parse(await response.text());
    return body && typeof body === 'object' ? body : null;
  } catch {
    return null;
  }
}

/**
 * @param {string | null} header seconds, or an HTTP date
 * @param {number} now
 */
function parseRetryAfter(header, now) {
  if (!header) return null;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

const GONE = new Set(['position-gone', 'login-not-found']);
const OVERLOAD = new Set(['rate-limited', 'busy']);

/** @param {unknown} code */
export function isGoneCode(code) {
  return GONE.has(/** @type {string} */ (code));
}

/** @param {Problem | null} problem */
export function isGone(problem) {
  return problem !== null && (problem.status === 404 || problem.status === 410) && GONE.has(problem.code);
}

/**
 * "Not now" said by the server itself, as against a proxy that cannot reach it.
 * @param {Problem | null} problem
 */
export function overloadCode(problem) {
  if (!problem) return '';
  if (OVERLOAD.has(problem.code)) return problem.code;
  if (problem.status === 429) return 'rate-limited';
  return problem.status === 503 && problem.retryAfter !== null ? 'busy' : '';
}

/** @param {unknown} error */
export function nameOf(error) {
  return error instanceof Error ? error.name : '';
}
