// The secrets of a webhook endpoint, each bound to its row, its caller and its URL: with another URL in the row, nothing is
// signed, and nothing is sent.
import type { Ciphertext } from '../../../domain/connection.ts';
import type { WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import type { EncryptionContext, Vault } from '../../../ports/index.ts';

/** In plain text: in memory only. */
export interface EndpointSecrets {
  /** Base64, without the prefix. */
  secret: string;
  previousSecret: string | null;
  headers: Readonly<Record<string, string>> | null;
}

type Place = Pick<WebhookEndpoint, 'id' | 'callerId' | 'url'>;
type Column = 'secret' | 'previous_secret' | 'headers';

const contextOf = ({ id, callerId, url }: Place, column: Column): EncryptionContext => ({
  row: `webhook_endpoints/${id}`,
  column,
  bound: [callerId, url],
});

type Encrypted = Pick<WebhookEndpoint, 'secret' | 'previousSecret' | 'headers'>;

export function encryptSecrets(
  vault: Pick<Vault, 'encrypt'>,
  place: Place,
  { secret, previousSecret, headers }: EndpointSecrets,
): Encrypted {
  const encrypt = (text: string, column: Column) => vault.encrypt(text, contextOf(place, column));
  return {
    secret: encrypt(secret, 'secret'),
    previousSecret: previousSecret === null ? null : encrypt(previousSecret, 'previous_secret'),
    headers: headers === null ? null : encrypt(JSON.stringify(headers), 'headers'),
  };
}

/** Throws `VaultError`. */
export function decryptSecrets(vault: Pick<Vault, 'decrypt'>, endpoint: Place & Encrypted): EndpointSecrets {
  const decrypt = (text: Ciphertext, column: Column) => vault.decrypt(text, contextOf(endpoint, column));
  const { secret, previousSecret, headers } = endpoint;
  return {
    secret: decrypt(secret, 'secret'),
    previousSecret: previousSecret === null ? null : decrypt(previousSecret, 'previous_secret'),
    headers: headers === null ? null : JSON.parse(decrypt(headers, 'headers')),
  };
}
