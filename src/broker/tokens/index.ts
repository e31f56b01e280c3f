export { createDpopProofs, type DpopProofs, type Proof } from './dpop-proofs.ts';
export { createTokenExchange, type ExchangeFault, type TokenExchange } from './token-exchange.ts';
export { createTokenReader, type OwnerSelector, type TokenReader } from './token-reader.ts';
