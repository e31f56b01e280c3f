// The vault as the broker sees it: what does not open is reported with its place before the error is thrown.
import { type Vault, VaultError } from '../../../ports/index.ts';

/** The same vault. `refused` is called with table and id of each secret that does not decrypt. */
export function reportRefusals(vault: Vault, refused: (table: string, id: string) => void): Vault {
  return {
    ...vault,
    decrypt(ciphertext, context) {
      try {
        return vault.decrypt(ciphertext, context);
      } catch (error) {
        const slash = context.row.indexOf('/');
        if (error instanceof VaultError) refused(context.row.slice(0, slash), context.row.slice(slash + 1));
        throw error;
      }
    },
  };
}
