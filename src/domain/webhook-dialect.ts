// How a provider sends webhooks, as data of the catalogue.
import * as z from 'zod';

export const ProviderWebhooks = z.strictObject({});
export type ProviderWebhooks = z.infer<typeof ProviderWebhooks>;
