// The connect flow in the owner's browser, from a connect session to a connection (RFC 6749 4.1, RFC 7636, RFC 9207, RFC 9700).
import { createBegin } from './begin.ts';
import { createCallback } from './callback.ts';
import type { BrowserRequest, ConnectStep, FlowParts } from './steps.ts';

/** A failure is a step too. Rejects with `StoreError` or `VaultError`; the session then stays pending. */
export interface ConnectFlow {
  /**
   * The browser opens the connect URL. Binds the session to the browser and sends it on to the provider, or asks for
   * missing parameters; `given` are those that the owner has filled in.
   */
  begin(secret: string, request: BrowserRequest, given?: Record<string, string>): Promise<ConnectStep>;
  /** The browser comes back with the authorization response, at the redirect URI of this integration. */
  callback(integration: string, response: URLSearchParams, request: BrowserRequest): Promise<ConnectStep>;
}

export const createConnectFlow = (parts: FlowParts): ConnectFlow => ({
  begin: createBegin(parts),
  callback: createCallback(parts),
});
