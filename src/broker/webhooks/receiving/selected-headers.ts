// Which headers of a webhook are kept and handed on: what says something about the event, and nothing that lets someone in.

/** Of the connection, of proxies in between, and what is shown elsewhere. */
const LEFT_OUT =
  /^(:.*|host|connection|keep-alive|transfer-encoding|content-length|te|trailer|upgrade|expect|via|forwarded|x-forwarded-.*|x-real-ip|x-request-id|x-amzn-trace-id|cf-.*|cdn-loop|traceparent|tracestate|baggage|accept.*|content-type|sec-.*)$/;
/** Whatever the catalogue does not name: a name that says so. */
const SECRET = /auth|cookie|secret|signature|token|password|credential|api-?key|jwt|hmac/;

const MAX_HEADERS = 40;
const MAX_LENGTH = 1_024;

/** `secret`: names in lower case that carry a token or signature. */
export function selectedHeaders(
  headers: Readonly<Record<string, string>>,
  secret: readonly string[],
): Record<string, string> {
  const selected: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (LEFT_OUT.test(name) || SECRET.test(name) || secret.includes(name) || value.length > MAX_LENGTH) continue;
    selected.push([name, value]);
    if (selected.length === MAX_HEADERS) break;
  }
  return Object.fromEntries(selected);
}
