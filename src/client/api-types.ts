// What calls through the proxy take and give.
import type { ListOptions, Pagination } from './api-pages.ts';
import type { CallOptions } from './api-request.ts';

/** What every call of an API has, unless it says otherwise. */
export type ApiOptions = Pick<CallOptions, 'headers' | 'host' | 'retry' | 'maxWait' | 'background' | 'signal'>;
export interface ApiResponse<T> {
  status: number;
  headers: Headers;
  body: T;
  /** How often the API was called. */
  attempts: number;
  /** Of the call, in the broker's log. */
  requestId: string;
}

export type PagesOptions = Omit<CallOptions, 'as' | 'idempotencyKey'> &
  ListOptions & {
    /** Default: GET. */
    method?: string;
    /** In place of what the provider's entry says. */
    pagination?: Pagination;
  };

type Plain = Omit<CallOptions, 'as'>;

/** Resolves with the body of the answer. */
export interface CallWithoutBody {
  <T = unknown>(path: string, options?: Omit<Plain, 'body'>): Promise<T>;
  (path: string, options: Omit<Plain, 'body'> & { as: 'response' }): Promise<Response>;
  (path: string, options: Omit<Plain, 'body'> & { as: 'stream' }): Promise<ReadableStream<Uint8Array>>;
}

/** The same, with a body that is sent. */
export interface CallWithBody {
  <T = unknown>(path: string, body?: unknown, options?: Omit<Plain, 'body'>): Promise<T>;
  (path: string, body: unknown, options: Omit<Plain, 'body'> & { as: 'response' }): Promise<Response>;
  (path: string, body: unknown, options: Omit<Plain, 'body'> & { as: 'stream' }): Promise<ReadableStream<Uint8Array>>;
}

/**
 * Calls of one connection. Paths are below the base URL of the API. All reject with `ApiError` where the API has refused,
 * unless `as` is `response`; with `ValetkeyError` where the broker has (`RateLimited`, `ReauthorizationRequired`,
 * `UpstreamUnavailable`, `UpstreamTimeout`, `InvalidPath`, …); or with the reason of an aborted signal.
 */
export interface Api {
  /**
   * @example
   * const user = await api.get<User>('/user', { query: { fields: ['id', 'name'] } });
   * const file = await api.get('/files/7/content', { host: 'files', as: 'stream' });
   */
  get: CallWithoutBody;
  /**
   * @example
   * const issue = await api.post<Issue>('/repos/acme/app/issues', { title: 'Broken' }, { idempotencyKey: true, retry: 2 });
   */
  post: CallWithBody;
  /**
   * @example
   * await api.put('/files/7/content', stream, { headers: { 'content-type': 'image/png' } });
   */
  put: CallWithBody;
  /**
   * @example
   * await api.patch('/issues/7', { state: 'closed' });
   */
  patch: CallWithBody;
  /**
   * @example
   * await api.delete('/issues/7');
   */
  delete: CallWithoutBody;
  /**
   * Any method, and the answer with its status and headers.
   *
   * @example
   * const { status, headers, body } = await api.request<Report>('REPORT', '/calendars/work', { body: query });
   */
  request<T = unknown>(method: string, path: string, options?: CallOptions): Promise<ApiResponse<T>>;
  /**
   * The pages of a list, one after the other, as the provider's entry says that its lists go on. Ends with the last page;
   * rejects with `pagination` where a list cannot be continued: where a page comes twice, or the next one is elsewhere.
   *
   * @example
   * for await (const repos of api.pages<Repo[]>('/user/repos', { query: { per_page: 100 } })) await index(repos);
   */
  pages<T = unknown>(path: string, options?: PagesOptions): AsyncIterable<T>;
  /**
   * A `fetch` for other libraries: URLs of the API go through the proxy, and so do paths. Any other URL is `InvalidPath`, and
   * nothing is sent. Resolves with the answer of the API, whatever its status; redirects are not followed.
   *
   * @example
   * const octokit = new Octokit({ request: { fetch: valetkey.api(connection).fetch } });
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
}
