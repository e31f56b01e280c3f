// A response whose body has been read and decoded, in the shape of a fetch `Response`.

export type ResponseHeaders = NodeJS.Dict<string | string[]>;

/**
 * Has what libraries use of a fetch `Response` (they also recognise one by its tag). A real one, with its headers and
 * stream, costs more than the rest of a request. `text`, `json` and `clone` may be called repeatedly.
 */
export class WholeResponse {
  readonly status: number;
  readonly body = null;
  readonly bodyUsed = false;
  /** The end of the body may be missing: the connection ended early, a limit was met, or its coding is broken. */
  readonly isPartial: boolean;
  readonly #content: string | Record<string, unknown>;
  readonly #rawHeaders: ResponseHeaders;
  #headers: Headers | undefined;

  /** `content`: text, or a value for its JSON. */
  constructor(
    content: string | Record<string, unknown>,
    status: number,
    headers: ResponseHeaders = {},
    isPartial = false,
  ) {
    this.isPartial = isPartial;
    this.#content = content;
    this.status = status;
    this.#rawHeaders = headers;
  }

  get [Symbol.toStringTag](): string {
    return 'Response';
  }
  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }
  /** Created on first use: most responses never need it. */
  get headers(): Headers {
    this.#headers ??= new Headers(toPairs(this.#rawHeaders));
    return this.#headers;
  }
  /** The first value of a header, by its lower-case name, without creating `headers`. */
  header(name: string): string | undefined {
    return firstOf(this.#rawHeaders[name]);
  }
  /** `text`, at once. */
  get content(): string {
    return typeof this.#content === 'string' ? this.#content : JSON.stringify(this.#content);
  }
  async text(): Promise<string> {
    return this.content;
  }
  async json(): Promise<unknown> {
    return typeof this.#content === 'string' ? JSON.parse(this.#content) : this.#content;
  }
  clone(): WholeResponse {
    return new WholeResponse(this.#content, this.status, this.#rawHeaders, this.isPartial);
  }
  without(header: string): WholeResponse {
    const { [header]: _, ...others } = this.#rawHeaders;
    return new WholeResponse(this.#content, this.status, others, this.isPartial);
  }
  /** For libraries that are typed to take a real `Response`. */
  get asResponse(): Response {
    return this as unknown as Response;
  }
}

/** Of a header that may have been sent several times. */
export const firstOf = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'object' ? value[0] : value;

const toPairs = (headers: ResponseHeaders): [string, string][] =>
  Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().map((one): [string, string] => [name, one]));
