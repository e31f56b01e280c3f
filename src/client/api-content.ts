// The answer of an API as its content: parsed by its content type, or an error where it is no success.
import { ApiError } from './api-errors.ts';
import { limitIn } from './api-sending.ts';
import { ValetkeyError } from './errors.ts';

/** `signal`: of the call. Rejects with its reason, and with `ApiError` or `RateLimited` where the answer is no success. */
export async function contentOf(
  response: Response,
  as: 'stream' | undefined,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const { ok, body } = response;
  const limited = limitIn(response);
  if (limited) {
    await body?.cancel().catch(() => undefined);
    throw limited;
  }
  if (ok) return as === 'stream' ? (body ?? new Blob([]).stream()) : parsedBody(response, signal);
  const refusal = await parsedBody(response, signal).catch(() => signal?.throwIfAborted());
  throw new ApiError(response, refusal);
}

async function parsedBody(response: Response, signal: AbortSignal | undefined): Promise<unknown> {
  const type = response.headers.get('content-type')?.toLowerCase() ?? '';
  const bytes = await response.arrayBuffer().catch(() => {
    signal?.throwIfAborted();
    throw new ValetkeyError({ code: 'network', status: 0, detail: 'The answer of the API broke off' });
  });
  if (bytes.byteLength === 0) return undefined;
  const isJson = /[/+]json\b/.test(type);
  if (!isJson && !/^text\/|[/+](?:xml|javascript|x-www-form-urlencoded)\b/.test(type)) return new Uint8Array(bytes);
  const text = new TextDecoder().decode(bytes);
  if (!isJson) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(response, text, 'The API answered with JSON that cannot be read');
  }
}
