// Proofs for requests to APIs whose tokens are bound to a key (RFC 9449): the key never leaves the broker.

import { Refusal, refuse } from '../../domain/errors.ts';
import { openCredentials } from '../../domain/imported-credentials.ts';
import type { Clock, DpopRequest, SignProof, Store, Vault } from '../../ports/index.ts';
import type { Call } from '../audit/index.ts';
import { type ServedToken, toServedToken } from '../cache/index.ts';
import { refusalOf } from '../refresh/index.ts';
import { decryptAccessToken, decryptKeyMaterial } from '../secrets/index.ts';
import type { TokenReader } from './token-reader.ts';

/** A proof, and the token that it goes with. */
export interface Proof {
  proof: string;
  served: ServedToken;
}

interface Parts {
  store: Pick<Store, 'dpopBoundRow'>;
  vault: Pick<Vault, 'decrypt'>;
  tokens: Pick<TokenReader, 'byId'>;
  signProof: SignProof;
  clock: Clock;
}

export type DpopProofs = ReturnType<typeof createDpopProofs>;

export function createDpopProofs({ store, vault, tokens, signProof, clock }: Parts) {
  return {
    /** As a read of the token: the same right, the same record, the same refusals. One that lives is not refreshed for it. */
    async make(
      call: Call,
      id: string,
      request: Pick<DpopRequest, 'method' | 'url' | 'nonce'>,
    ): Promise<Proof | Refusal> {
      const read = await tokens.byId(call, id, 0);
      if (read instanceof Refusal) return read;
      const row = await store.dpopBoundRow(id);
      if (!row) return refuse({ code: 'not_found', what: 'connection', id });
      const refused = refusalOf(row.connection);
      if (refused) return refused;
      // Connected anew meanwhile, it has another key, and a token to go with that.
      const isNewer = row.connection.generation > read.connection.generation;
      const newer = isNewer ? decryptAccessToken(vault, id, row.accessToken) : null;
      const served = newer === null ? read : toServedToken(row.connection, newer, clock);
      const { tokenType } = served.connection;
      const { dpopKey } = openCredentials(decryptKeyMaterial(vault, id, row.credentials));
      if (tokenType !== 'DPoP' || dpopKey === undefined) return refuse(unbound(tokenType));
      const issuedAt = Math.floor(clock.now() / 1_000);
      const { accessToken } = served;
      return { proof: await signProof(dpopKey, { ...request, accessToken, issuedAt }), served };
    },
  };
}

const unbound = (tokenType: string) => ({
  code: 'invalid_request' as const,
  detail: `The token of this connection is not bound to a key: send it as its token_type says (${tokenType}), without a proof. For bound ones, switch DPoP on in the params of the integration, where its provider offers it, and connect again.`,
});
