// A request of a sender, and its body read as JSON, form or XML when that is asked for. Nothing here throws for what was sent.
import type { WebhookRequest } from '../../ports/webhook-verifier.ts';
import { isObject, member } from './json-paths.ts';

export type Format = 'json' | 'form' | 'xml';

/** Until the body is read, it is undefined, and so is everything in it. */
export class Sent {
  readonly request: Omit<WebhookRequest, 'body'>;
  readonly body: Buffer | undefined;
  #text: { value: string | undefined } | undefined;
  #json: { value: unknown } | undefined;
  #form: URLSearchParams | undefined;
  #query: URLSearchParams | undefined;

  constructor(request: Omit<WebhookRequest, 'body'>, body?: Uint8Array) {
    this.request = request;
    this.body = body && Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  }

  header(name: string): string | undefined {
    return Object.hasOwn(this.request.headers, name) ? this.request.headers[name] : undefined;
  }

  /** Undefined: it is not UTF-8. */
  get text(): string | undefined {
    this.#text ??= { value: this.body && utf8(this.body) };
    return this.#text.value;
  }

  /** Undefined: it is not JSON. */
  get json(): unknown {
    this.#json ??= { value: this.text === undefined ? undefined : parseJson(this.text) };
    return this.#json.value;
  }

  /** Undefined: it is not UTF-8. */
  get form(): URLSearchParams | undefined {
    if (this.text === undefined) return undefined;
    this.#form ??= new URLSearchParams(this.text);
    return this.#form;
  }

  get query(): URLSearchParams {
    const at = this.request.url.indexOf('?');
    this.#query ??= new URLSearchParams(at < 0 ? '' : this.request.url.slice(at + 1));
    return this.#query;
  }

  get mediaType(): string {
    return (this.header('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  }

  formatOf(format: Format | 'auto'): Format {
    if (format !== 'auto') return format;
    return this.mediaType === 'application/x-www-form-urlencoded' ? 'form' : 'json';
  }

  /** What its events are read from: the JSON, also that of a form's field, or a form as an object of its fields. */
  document(format: Format | 'auto', jsonField: string | undefined): unknown {
    if (this.body === undefined) return undefined;
    switch (this.formatOf(format)) {
      case 'json':
        return this.json;
      case 'form': {
        const field = jsonField === undefined ? null : (this.form?.get(jsonField) ?? null);
        return field === null ? Object.fromEntries(this.form ?? []) : parseJson(field);
      }
      case 'xml':
        return undefined;
    }
  }
}

const strict = new TextDecoder('utf-8', { fatal: true });

export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

const LONG_NUMBER = /\d{16}/;

/** Ids that no number can hold stay as they are written, as text. */
export function parseJson(text: string): unknown {
  try {
    return LONG_NUMBER.test(text) ? JSON.parse(text, exactIntegers) : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function exactIntegers(_: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  const isInexact = typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined;
  return isInexact && /^-?\d+$/.test(source) ? source : value;
}

export const memberText = (value: unknown, name: string): string | undefined => {
  const found = isObject(value) ? member(value, name) : undefined;
  return typeof found === 'string' ? found : undefined;
};
