// The cursors of lists.
import { type Vault, VaultError } from '../ports/index.ts';

/**
 * Cursors, encrypted: the id in one may be that of a row which the caller must not see, and one that we have not made, or
 * made for another list, is none.
 */
export interface Cursors {
  /** `list`: the path of the list. `id`: of the last row. */
  encrypt(list: string, id: string): string;
  /** Undefined: it is none of this list. */
  decrypt(list: string, cursor: string): string | undefined;
}

export function createCursors(vault: Pick<Vault, 'encrypt' | 'decrypt'>): Cursors {
  const contextOf = (list: string) => ({ row: `cursors${list}`, column: 'id' });
  return {
    encrypt: (list, id) => vault.encrypt(id, contextOf(list)),
    decrypt(list, cursor) {
      try {
        return vault.decrypt(cursor as Parameters<Vault['decrypt']>[0], contextOf(list));
      } catch (error) {
        if (error instanceof VaultError) return undefined;
        throw error;
      }
    },
  };
}
