// The table of grant types of `POST /oauth2/token`, and the choice of one by `grant_type`.
import type { SessionExchange, TokenExchange } from '../../broker/tokens/index.ts';
import type { Clock } from '../../ports/index.ts';
import { invalidRequest, OAuthRefusal } from '../errors/oauth-errors.ts';
import { type SentForm, sentTwice } from '../middleware/form.ts';
import type { GrantType } from './grant-type.ts';
import { createTokenExchangeGrant } from './token-exchange.ts';

export type { GrantType } from './grant-type.ts';

interface Parts {
  exchange: TokenExchange;
  sessionExchange: SessionExchange;
  clock: Clock;
  publicUrl: string;
}

/** The grant types that the endpoint supports. */
export const createGrantTypes = (parts: Parts): readonly GrantType[] => [createTokenExchangeGrant(parts)];

export function grantTypeOf(form: SentForm, grantTypes: readonly GrantType[]): GrantType | OAuthRefusal {
  const [name, ...others] = form.all('grant_type');
  if (name === undefined) return invalidRequest('grant_type: missing');
  if (others.length > 0) return sentTwice('grant_type');
  return grantTypes.find((one) => one.name === name) ?? unsupportedGrantType(grantTypes.map((one) => one.name));
}

export const unsupportedGrantType = (supported: readonly string[]): OAuthRefusal =>
  new OAuthRefusal({
    status: 400,
    error: 'unsupported_grant_type',
    description: `grant_type: must be ${supported.join(' or ')}`,
  });
