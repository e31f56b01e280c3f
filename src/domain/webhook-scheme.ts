// How the senders of integrations of generic providers sign.
import { z } from 'zod';

export const Hash = z.enum(['sha1', 'sha256', 'sha384', 'sha512']);
export const Encoding = z.enum(['hex', 'base64', 'base64url']);

/** How the sender of an integration of a generic provider signs (`webhook` of an integration). */
export const WebhookScheme = z.discriminatedUnion('scheme', [
  z.strictObject({ scheme: z.literal('standard_webhooks') }),
  z.strictObject({
    scheme: z.literal('hmac'),
    header: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, 'a header name'),
    hash: Hash.default('sha256'),
    encoding: Encoding.default('hex'),
  }),
  z.strictObject({ scheme: z.literal('shared_token') }),
]);
export type WebhookScheme = z.infer<typeof WebhookScheme>;
