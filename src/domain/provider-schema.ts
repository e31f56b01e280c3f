// The schema of a catalogue entry: one third-party system as data. A broker that has parsed entries never needs it. What is done
// with them is in `provider.ts`.
import { z } from 'zod';
import { ProviderApi, ProviderRateLimits } from './api-dialect.ts';
import { AuthMode } from './auth-modes-schema.ts';
import { Name, Params, Pattern, Template, UrlTemplate } from './fields-schema.ts';
import { CATEGORIES } from './provider-categories.ts';
import { ProviderWebhooks } from './webhook-dialect.ts';

const Slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes, at most 63');

export const Provider = z.strictObject({
  $schema: z.string().optional(),
  id: Slug,
  name: z.string(),
  category: z.enum(CATEGORIES),
  docs_url: z.url(),
  /** `verified` against the live system, `documented` by the vendor, or `unverified`. */
  confidence: z.enum(['verified', 'documented', 'unverified']),
  /** What in this entry is not certain. */
  uncertain: z.array(z.string()).default([]),
  /** The id of an entry that this one extends: records are merged, `auth` by mode and variant. */
  extends: Slug.optional(),
  /** What people who set up an integration should know. */
  notes: z.array(z.string()).default([]),
  /** Parameters of an integration, in every mode. */
  params: Params.default({}),
  /** Parameters of each connection, in every mode. */
  connection_params: Params.default({}),
  /**
   * What a captured value must match as a whole before it says where a token is sent, in the host of `api_base_url` or of
   * another host: what is captured is stored, and not authenticated. What does not match is not captured from a callback.
   */
  captured_patterns: z.record(Name, Pattern).default({}),
  /** The modes of authentication. The first is the default; the integration's `params.mode` selects another. */
  auth: z.array(AuthMode).min(1),
  api_base_url: UrlTemplate.optional(),
  /** Headers that every request to the API needs besides the token. */
  api_headers: z.record(z.string(), Template).default({}),
  /** What calls of the API need to know besides. */
  api: ProviderApi.prefault({}),
  /** The API's limits. Without them, only what every HTTP answer may tell (429, `Retry-After`). */
  rate_limits: ProviderRateLimits.optional(),
  /** What the vendor sends, by the name of each endpoint. */
  webhooks: ProviderWebhooks.default({}),
});
export type Provider = z.infer<typeof Provider>;
