// The tokens room: reading tokens, trying dead grants once more, exchanging a user's JWT for one, and proofs for tokens that are bound to a key.
import { createDpopProofs, type DpopProofParts, type DpopProofs } from './dpop-proofs.ts';
import { createExchangedIdentity, type ExchangedIdentityParts } from './exchange/exchanged-identity.ts';
import { createSessionExchange, type SessionExchange, type SessionExchangeParts } from './exchange/session-exchange.ts';
import { createTokenExchange, type TokenExchange, type TokenExchangeParts } from './exchange/token-exchange.ts';
import { createGrantRetry, type GrantRetry, type GrantRetryParts } from './refreshing/grant-retry.ts';
import { createOnDemandRefresh, type OnDemandRefresh } from './refreshing/on-demand-refresh.ts';
import { createTokenReader, type TokenReader, type TokenReaderParts } from './token-reader.ts';

export type { DpopProofs, Proof } from './dpop-proofs.ts';
export type { SessionExchange } from './exchange/session-exchange.ts';
export type { ExchangeFault, TokenExchange } from './exchange/token-exchange.ts';
export type { GrantRetry } from './refreshing/grant-retry.ts';
export type { OnDemandRefresh } from './refreshing/on-demand-refresh.ts';
export type { OwnerSelector, Selector } from './selection.ts';
export type { TokenReader, TokenUse } from './token-reader.ts';

export interface Tokens {
  reader: TokenReader;
  exchange: TokenExchange;
  sessionExchange: SessionExchange;
  dpopProofs: DpopProofs;
  grantRetry: GrantRetry;
  onDemandRefresh: OnDemandRefresh;
}

type Parts = TokenReaderParts &
  GrantRetryParts &
  ExchangedIdentityParts &
  Omit<TokenExchangeParts, 'reader' | 'identify'> &
  Omit<SessionExchangeParts, 'identify'> &
  Omit<DpopProofParts, 'reader'>;

export function createTokens(parts: Parts): Tokens {
  const reader = createTokenReader(parts);
  const identify = createExchangedIdentity(parts);
  return {
    reader,
    exchange: createTokenExchange({ ...parts, reader, identify }),
    sessionExchange: createSessionExchange({ ...parts, identify }),
    dpopProofs: createDpopProofs({ ...parts, reader }),
    grantRetry: createGrantRetry(parts),
    onDemandRefresh: createOnDemandRefresh({ reader }),
  };
}
