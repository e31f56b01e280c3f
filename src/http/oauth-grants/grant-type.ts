// What a grant type of `POST /oauth2/token` is. One file each, and a row in `index.ts`.
import type { z } from '@hono/zod-openapi';
import type { Call } from '../../broker/audit/index.ts';
import type { Answer } from '../answer.ts';
import type { OAuthRefusal } from '../errors/oauth-errors.ts';
import type { SentForm } from '../middleware/form.ts';

export interface GrantType {
  /** The value of `grant_type`, as the server metadata lists it. */
  name: string;
  /** The parameters, for the OpenAPI description. */
  schema: z.ZodType;
  /** Validates the form and issues the token. The client is authenticated; whether it may have the token is not checked yet. */
  handle(call: Call, form: SentForm): Promise<Answer | OAuthRefusal>;
}
