// Refreshing a connection now, for those who look after it and are not given its token.
import type { Connection } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import type { Call } from '../../audit/index.ts';
import type { TokenReader, TokenUse } from '../token-reader.ts';

/**
 * Refreshes the connection, as `TokenReader.refresh` does, and returns it as it is afterwards. Takes `connections:write`, as a check
 * does. Rejects with `StoreError`.
 */
export type OnDemandRefresh = (call: Call, id: string) => Promise<Connection | Refusal>;

const USE: TokenUse = { action: 'connections:write', audit: 'connection.refresh_requested' };

export const createOnDemandRefresh =
  ({ reader }: { reader: Pick<TokenReader, 'refresh'> }): OnDemandRefresh =>
  async (call, id) => {
    const served = await reader.refresh(call, id, {}, USE);
    return served instanceof Refusal ? served : served.connection;
  };
