// The secrets of a webhook endpoint, each bound to its row, its caller and its URL: with another URL in the row, nothing is
// signed, and nothing is sent.
import type { Ciphertext } from '../../../domain/connection.ts';
import type { WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import type { EncryptionContext, Vault } from '../../../ports/index.ts';

/** In plain text: in memory only. Secrets in base64, without the prefix. */
export interface EndpointSecrets {
  secret: string;
  /** The one that was replaced last comes first. */
  replaced: readonly ReplacedSecret[];
  headers: Readonly<Record<string, string>> | null;
}

/** It signs as well until then (ms since the epoch). */
export interface ReplacedSecret {
  secret: string;
  until: number;
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
  { secret, replaced, headers }: EndpointSecrets,
): Encrypted {
  const encrypt = (text: string, column: Column) => vault.encrypt(text, contextOf(place, column));
  return {
    secret: encrypt(secret, 'secret'),
    previousSecret: replaced.length === 0 ? null : encrypt(inText(replaced), 'previous_secret'),
    headers: headers === null ? null : encrypt(JSON.stringify(headers), 'headers'),
  };
}

/** Throws `VaultError`. */
export function decryptSecrets(
  vault: Pick<Vault, 'decrypt'>,
  endpoint: Place & Encrypted & Pick<WebhookEndpoint, 'previousUntil'>,
): EndpointSecrets {
  const decrypt = (text: Ciphertext, column: Column) => vault.decrypt(text, contextOf(endpoint, column));
  const { secret, previousSecret, previousUntil, headers } = endpoint;
  return {
    secret: decrypt(secret, 'secret'),
    replaced: previousSecret === null ? [] : fromText(decrypt(previousSecret, 'previous_secret'), previousUntil),
    headers: headers === null ? null : JSON.parse(decrypt(headers, 'headers')),
  };
}

/** `secret@until secret@until`: where the padding of the first one ends, an earlier release stops to read. */
const inText = (replaced: readonly ReplacedSecret[]): string =>
  replaced.map(({ secret, until }) => `${secret}@${until}`).join(' ');

/** An earlier release has one secret there, which signs until `previousUntil`. */
const fromText = (text: string, previousUntil: number | null): ReplacedSecret[] =>
  text.split(' ').map((one) => {
    const [secret = '', until] = one.split('@');
    return { secret, until: until === undefined ? (previousUntil ?? 0) : Number(until) };
  });
