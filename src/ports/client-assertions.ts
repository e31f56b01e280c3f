// Client assertions that the broker signs itself (RFC 7523 2.2, RFC 7521 4.2), as a client whose metadata document names its keys.

export interface ClientAssertions {
  /** The algorithm (RFC 7518 3.1) of what would be signed now. Rejects with `StoreError`. */
  algorithm(): Promise<string>;
  /**
   * An assertion for one request: of this client, for this issuer alone, and for two minutes. Verifiers find its key at
   * `/oauth2/jwks`. Rejects with `StoreError`.
   */
  sign(client: { id: string; issuer: string }): Promise<string>;
}
