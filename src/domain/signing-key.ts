// Keys that the deployment signs with.
import type { Ciphertext } from './connection.ts';

export interface SigningKey {
  /** The `kid`. */
  id: string;
  /** What it signs. */
  purpose: 'webhook' | 'jwt';
  /** PKCS #8, PEM. */
  privateKey: Ciphertext;
  /** A JWK (RFC 7517), with `kid`. */
  publicKey: Record<string, unknown>;
  /** Milliseconds since the epoch; `retiredAt` null: it signs. */
  createdAt: number;
  retiredAt: number | null;
}
