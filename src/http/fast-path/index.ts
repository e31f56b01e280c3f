// Which requests have a hot path.
import type { IncomingMessage } from 'node:http';
import type { Tokens } from '../../broker/tokens/token-reader.ts';
import type { Verify } from '../../broker/jwt/jwt-verification.ts';
import { createQuick, type Listen, type QuickParts } from './fast-path.ts';
import { createQuickReads, isRead } from './token-reads.ts';
import { createQuickVerify, VERIFY } from './jwt-verification.ts';

interface Parts extends QuickParts {
  tokens: Tokens;
  verify: Verify;
}

export function quickPaths({ tokens, verify, ...parts }: Parts): (request: IncomingMessage) => Listen | undefined {
  const quick = createQuick(parts);
  const reads = createQuickReads({ quick, tokens, clock: parts.clock });
  const verifying = createQuickVerify({ quick, verify });
  return ({ method, url = '' }) => {
    if (method === 'GET') return isRead(url) ? reads : undefined;
    return method === 'POST' && url === VERIFY ? verifying : undefined;
  };
}
