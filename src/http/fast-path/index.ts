// The fast path: which requests are answered before the framework sees them.
import type { IncomingMessage } from 'node:http';
import type { RequestedScopes } from '../../broker/integrations/index.ts';
import type { JwtVerification } from '../../broker/jwt/index.ts';
import type { ProxyCalls } from '../../broker/proxy/index.ts';
import type { TokenReader } from '../../broker/tokens/index.ts';
import type { Admission } from '../middleware/authentication.ts';
import { createProxyHandler, isProxied } from '../proxy/proxy-handler.ts';
import { createFastPath, type FastHandler, type FastPathParts } from './fast-path.ts';
import { createFastHealth, type FastHealthParts } from './health.ts';
import { createFastJwtVerification, VERIFY } from './jwt-verification.ts';
import { createFastTokenReads, isTokenRead } from './token-reads.ts';

export type { FastHandler } from './fast-path.ts';

interface Parts extends FastPathParts, FastHealthParts {
  proxy: ProxyCalls;
  admit: Admission;
  reader: TokenReader;
  requestedScopes: RequestedScopes;
  verification: JwtVerification;
  /** Called with the first request that is no probe. */
  onFirstUse: () => void;
}

/** The handler of a request. Undefined: it goes to the framework. */
export type FastRoutes = (request: IncomingMessage) => FastHandler | undefined;

export function createFastRoutes(given: Parts): FastRoutes {
  const { reader, requestedScopes, verification, proxy, admit, onFirstUse, ...parts } = given;
  const fastPath = createFastPath(parts);
  const readToken = createFastTokenReads({ fastPath, reader, requestedScopes, clock: parts.clock });
  const verifyJwt = createFastJwtVerification({ fastPath, verification });
  const callProxy = createProxyHandler({ ...parts, fastPath, proxy, admit });
  const health = createFastHealth(parts);
  const used: FastRoutes = ({ method, url = '' }) => {
    if (isProxied(url)) return callProxy;
    if (method === 'GET') return isTokenRead(url) ? readToken : health.get(url);
    return method === 'POST' && url === VERIFY ? verifyJwt : undefined;
  };
  let routes: FastRoutes = (request) => {
    const probe = request.method === 'GET' ? health.get(request.url ?? '') : undefined;
    if (probe) return probe;
    onFirstUse();
    routes = used;
    return used(request);
  };
  return (request) => routes(request);
}
