// One HTTP request. Of the processor time of tens of thousands of them, `fetch` takes the larger part: three times as much as
// this. It follows no redirect.
import { type Dispatcher, request } from 'undici';

export interface HttpResponse {
  status: number;
  headers: Headers;
  text: string;
}

export interface HttpRequest {
  method: string;
  headers?: Record<string, string>;
  /** A form is sent with its content type. */
  body?: string | URLSearchParams | undefined;
}

/** What `fetch` sends. */
const DEFAULTS = { accept: '*/*', 'accept-language': '*', 'sec-fetch-mode': 'cors', 'user-agent': 'node' };
const FORM = { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' };

/** Rejects when there is no response. */
export async function send(url: string | URL, { method, headers, body }: HttpRequest): Promise<HttpResponse> {
  const response = await request(url, {
    method: method as Dispatcher.HttpMethod,
    headers: { ...DEFAULTS, ...(body instanceof URLSearchParams && FORM), ...lowerCased(headers) },
    ...(body !== undefined && { body: body.toString() }),
  });
  return { status: response.statusCode, headers: headersOf(response), text: await response.body.text() };
}

const lowerCased = (headers: Record<string, string> = {}) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function headersOf({ headers: received }: Dispatcher.ResponseData): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(received))
    for (const one of [value ?? []].flat()) headers.append(name, one);
  return headers;
}
