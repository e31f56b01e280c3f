// Client id metadata documents: what the broker publishes of a client whose id is the URL of the document
// (draft-ietf-oauth-client-id-metadata-document).
import { protectedResourceOf } from '../../../domain/auth-modes.ts';
import { Refusal, refuse } from '../../../domain/errors.ts';
import type { Targets } from '../../integrations/index.ts';
import { type DocumentMethod, documentUrlOf, isIssuerHash, isPerIssuer } from './redirect-uris.ts';

/** RFC 7591 2. */
export interface ClientDocument {
  client_id: string;
  client_name: string;
  client_uri: string;
  redirect_uris: string[];
  grant_types: string[];
  response_types: string[];
  application_type: 'web';
  token_endpoint_auth_method: DocumentMethod;
  token_endpoint_auth_methods_supported: string[];
  /** Of `private_key_jwt`. */
  jwks_uri: string;
}

export interface ClientDocuments {
  /**
   * Of an integration; `issuer`: the hash of the issuer, of an integration whose connections say which server it is. Refuses with
   * `not_found` where the integration is no such client. `method`: how the client authenticates at servers that read one method.
   */
  read(integration: string, issuer: string | undefined, method: DocumentMethod): Promise<ClientDocument | Refusal>;
}

interface Parts {
  targets: Pick<Targets, 'find'>;
  appName: string;
  publicUrl: string;
}

export function createClientDocuments({ targets, appName, publicUrl }: Parts): ClientDocuments {
  return {
    async read(integration, issuer, method) {
      const none = refuse({ code: 'not_found', what: 'client', id: integration });
      const found = await targets.find(integration);
      if (found instanceof Refusal || protectedResourceOf(found.auth) === undefined) return none;
      if (isPerIssuer(found) !== (issuer !== undefined)) return none;
      if (issuer !== undefined && !isIssuerHash(issuer)) return none;
      const place = issuer === undefined ? integration : `${integration}/${issuer}`;
      return {
        client_id: documentUrlOf(publicUrl, place, method),
        client_name: appName,
        client_uri: publicUrl,
        redirect_uris: [`${publicUrl}/oauth2/callback/${place}`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        application_type: 'web',
        token_endpoint_auth_method: method,
        token_endpoint_auth_methods_supported: method === 'none' ? ['none', 'private_key_jwt'] : [method],
        jwks_uri: `${publicUrl}/oauth2/jwks`,
      };
    },
  };
}
