// Which requests have a hot path.
import type { IncomingMessage } from 'node:http';
import type { JwtVerification } from '../../broker/jwt/index.ts';
import type { TokenReader } from '../../broker/tokens/index.ts';
import { createFastPath, type FastPathParts, type Listen } from './fast-path.ts';
import { createFastJwtVerification, VERIFY } from './jwt-verification.ts';
import { createFastTokenReads, isRead } from './token-reads.ts';

interface Parts extends FastPathParts {
  tokens: TokenReader;
  verify: JwtVerification;
}

export function createFastPaths({ tokens, verify, ...parts }: Parts): (request: IncomingMessage) => Listen | undefined {
  const quick = createFastPath(parts);
  const reads = createFastTokenReads({ quick, tokens, clock: parts.clock });
  const verifying = createFastJwtVerification({ quick, verify });
  return ({ method, url = '' }) => {
    if (method === 'GET') return isRead(url) ? reads : undefined;
    return method === 'POST' && url === VERIFY ? verifying : undefined;
  };
}
