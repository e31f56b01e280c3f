// A request of a sender, and its body read as JSON, form or XML when that is asked for. Nothing here throws for what was sent.

import { memberOf } from '../../domain/json.ts';
import type { WebhookRequest } from '../../ports/webhook-verifier.ts';
import { isExcessive, parseVerifiedJson } from './json.ts';
import { textIn } from './xml.ts';

export type Format = 'json' | 'form' | 'xml';

/** Of a form. Senders have less than a hundred, and what signs them sorts them. */
const MAX_FIELDS = 2_000;

/** Until the body is read, it is undefined, and so is everything in it. */
export class Sent {
  readonly request: Omit<WebhookRequest, 'body'>;
  readonly body: Buffer | undefined;
  #text: { value: string | undefined } | undefined;
  #json: { value: unknown } | undefined;
  #form: { value: URLSearchParams | undefined } | undefined;
  #query: URLSearchParams | undefined;
  #isVerified = false;
  #hasExcessiveJson = false;
  readonly #xml = new Map<string, string | undefined>();

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

  /** Undefined: it is not JSON, or too much of it. */
  get json(): unknown {
    this.#json ??= { value: this.text === undefined ? undefined : this.#parse(this.text) };
    return this.#json.value;
  }

  /** Whether JSON was asked for before the sender was known, and was not parsed since it is too much. */
  get hasExcessiveJson(): boolean {
    return this.#hasExcessiveJson;
  }

  /** From now on its JSON is parsed, however much it is. */
  verified(): void {
    this.#isVerified = true;
  }

  #parse(text: string): unknown {
    if (!this.#isVerified && isExcessive(text)) {
      this.#hasExcessiveJson = true;
      return undefined;
    }
    return parseVerifiedJson(text);
  }

  /** Undefined: it is not UTF-8, or has too many fields. */
  get form(): URLSearchParams | undefined {
    this.#form ??= { value: this.#readForm() };
    return this.#form.value;
  }

  /** As a form. */
  get hasTooManyFields(): boolean {
    const text = this.text ?? '';
    for (let fields = 1, at = -1; fields <= MAX_FIELDS; fields++) {
      at = text.indexOf('&', at + 1);
      if (at < 0) return false;
    }
    return true;
  }

  #readForm(): URLSearchParams | undefined {
    return this.text === undefined || this.hasTooManyFields ? undefined : new URLSearchParams(this.text);
  }

  get query(): URLSearchParams {
    const at = this.request.url.indexOf('?');
    this.#query ??= new URLSearchParams(at < 0 ? '' : this.request.url.slice(at + 1));
    return this.#query;
  }

  /** Of the first element of that name in the body: each event of a batch may ask for it. */
  xmlText(path: string): string | undefined {
    if (!this.#xml.has(path)) this.#xml.set(path, this.text === undefined ? undefined : textIn(this.text, path));
    return this.#xml.get(path);
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
        return field === null ? Object.fromEntries(this.form ?? []) : this.#parse(field);
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

export const memberText = (value: unknown, name: string): string | undefined => {
  const found = memberOf(value, name);
  return typeof found === 'string' ? found : undefined;
};
