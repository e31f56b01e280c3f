// DPoP proofs (RFC 9449) for requests to APIs whose tokens are bound to a key. The key never leaves the broker.

import { Refusal, refuse } from '../../domain/errors.ts';
import { parseStoredCredentials } from '../../domain/imported-credentials.ts';
import type { Clock, DpopRequest, SignProof, Store, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { type ServedToken, toServedToken } from '../cache/index.ts';
import { refusalOf } from '../refresh/index.ts';
import { decryptAccessToken, decryptKeyMaterial } from '../secrets/index.ts';
import type { TokenReader } from './token-reader.ts';

/** A proof, and the token that it belongs to. */
export interface Proof {
  proof: string;
  served: ServedToken;
}

export interface DpopProofs {
  /**
   * A proof for one request. Authorised, audited and refused like a read of the token; a token that lives is not refreshed
   * for it. `invalid_request` when the token is not bound to a key. Rejects with `StoreError`.
   */
  create(call: Call, id: string, request: Pick<DpopRequest, 'method' | 'url' | 'nonce'>): Promise<Proof | Refusal>;
}

export interface DpopProofParts {
  store: Pick<Store, 'dpopBoundRow'>;
  vault: Pick<Vault, 'decrypt'>;
  reader: Pick<TokenReader, 'read'>;
  signProof: SignProof;
  access: Pick<Access, 'denied'>;
  clock: Clock;
}

export function createDpopProofs({ store, vault, reader, signProof, access, clock }: DpopProofParts): DpopProofs {
  return {
    async create(call, id, request) {
      const read = await reader.read(call, id, 0);
      if (read instanceof Refusal) return read;
      const row = await store.dpopBoundRow(id);
      if (!row) return refuse({ code: 'not_found', what: 'connection', id });
      const refused = refusalOf(row.connection);
      if (refused) return refused;
      // If the owner has connected again meanwhile, the row has another key, and a token bound to it.
      const isNewer = row.connection.generation > read.connection.generation;
      const newer = isNewer ? decryptAccessToken(vault, row.connection, row.accessToken) : null;
      const served = newer === null ? read : toServedToken(row.connection, newer, clock);
      const { tokenType, integration, owner, scopes } = served.connection;
      const denied = isNewer && access.denied(call, 'token', integration, owner, id, { scopes });
      if (denied) return denied;
      const { dpopKey } = parseStoredCredentials(decryptKeyMaterial(vault, row.connection, row.credentials));
      if (tokenType !== 'DPoP' || dpopKey === undefined) return refuse(notBound(tokenType));
      const issuedAt = Math.floor(clock.now() / 1_000);
      const { accessToken } = served;
      return { proof: await signProof(dpopKey, { ...request, accessToken, issuedAt }), served };
    },
  };
}

const notBound = (tokenType: string) => ({
  code: 'invalid_request' as const,
  detail: `The token of this connection is not bound to a key. Send it without a proof, as its token_type (${tokenType}) says. To have bound tokens, enable DPoP in the integration's params, if its provider supports it, and connect again.`,
});
