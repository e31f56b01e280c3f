export { type CallerCache, createCallerCache } from './caller-cache.ts';
export { startInvalidation } from './invalidation.ts';
export { createTokenCache, type ReadTicket, type ServedToken, type TokenCache, toServedToken } from './token-cache.ts';
