// The tokens room: reading tokens, trying dead grants once more, exchanging a user's JWT for one, and proofs for tokens that are bound to a key.
import { createDpopProofs, type DpopProofParts, type DpopProofs } from './dpop-proofs.ts';
import { createTokenExchange, type TokenExchange, type TokenExchangeParts } from './exchange/token-exchange.ts';
import { createGrantRetry, type GrantRetry, type GrantRetryParts } from './refreshing/grant-retry.ts';
import { createOnDemandRefresh, type OnDemandRefresh } from './refreshing/on-demand-refresh.ts';
import { createTokenReader, type TokenReader, type TokenReaderParts } from './token-reader.ts';

export type { DpopProofs, Proof } from './dpop-proofs.ts';
export type { ExchangeFault, TokenExchange } from './exchange/token-exchange.ts';
export type { GrantRetry } from './refreshing/grant-retry.ts';
export type { OnDemandRefresh } from './refreshing/on-demand-refresh.ts';
export type { OwnerSelector, Selector } from './selection.ts';
export type { TokenReader, TokenUse } from './token-reader.ts';

export interface Tokens {
  reader: TokenReader;
  exchange: TokenExchange;
  dpopProofs: DpopProofs;
  grantRetry: GrantRetry;
  onDemandRefresh: OnDemandRefresh;
}

type Parts = TokenReaderParts & GrantRetryParts & Omit<TokenExchangeParts, 'reader'> & Omit<DpopProofParts, 'reader'>;

export function createTokens(parts: Parts): Tokens {
  const reader = createTokenReader(parts);
  return {
    reader,
    exchange: createTokenExchange({ ...parts, reader }),
    dpopProofs: createDpopProofs({ ...parts, reader }),
    grantRetry: createGrantRetry(parts),
    onDemandRefresh: createOnDemandRefresh({ reader }),
  };
}
