// Which signals an integration receives, and from whom: by the catalogue's data and what an admin has set.
import type { Provider } from './provider.ts';
import type { VerifyOf } from './webhook-dialect.ts';

/** How the provider signs its security events, if the catalogue says so. */
export const transmitterOf = ({ webhooks }: Pick<Provider, 'webhooks'>): VerifyOf<'set'> | undefined =>
  Object.values(webhooks)
    .map(({ verify }) => verify)
    .find((verify) => verify.scheme === 'set' && verify.issuer !== undefined) as VerifyOf<'set'> | undefined;

/** Whether they name refresh tokens by digests, which are kept then. */
export const namesTokens = (provider: Pick<Provider, 'webhooks'>): boolean =>
  transmitterOf(provider)?.names_tokens === true;

/** What an admin sets of an integration; stored as an encrypted record. Undefined: as the catalogue has it. */
export interface SignalSettings {
  /** The transmitter's `iss`. */
  issuer?: string | undefined;
  jwks_uri?: string | undefined;
  /** Accepted besides the client id and the URL of the receiver. */
  audience?: string | undefined;
  /** RFC 8936: where events are fetched from a transmitter that does not push. */
  poll_url?: string | undefined;
  /** Sent with each poll; without `poll_url`, expected with each push. */
  token?: string | undefined;
}
