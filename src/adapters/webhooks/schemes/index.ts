// Each scheme's checks, before the body is read and with it.
import type { WebhookEndpointDialect } from '../../../domain/webhook-dialect.ts';
import type { IssuerKeys } from '../../jwt/jwks.ts';
import { isInBody } from '../conditions.ts';
import type { Scope } from '../values.ts';
import { type RefusalReason, refused, type Verification } from '../verification.ts';
import type { Certificates } from './certificates.ts';
import { precheckJwt, verifyJwt } from './jwt.ts';
import { precheckRsa, verifyRsa, verifySns } from './published-certificate.ts';
import { verifySignedRequest } from './signed-request.ts';
import { precheckSignedText, verifySignedText } from './signed-text.ts';
import { precheckStandardWebhook, verifyStandardWebhook } from './standard-webhooks.ts';
import { precheckBasic, precheckNone, precheckToken, verifyBasic, verifyNone, verifyToken } from './tokens.ts';

/** Why it cannot be verified, whatever its body is; undefined: it may be. */
export function precheckScheme({ verify: data }: WebhookEndpointDialect, scope: Scope): RefusalReason | undefined {
  switch (data.scheme) {
    case 'hmac':
    case 'ecdsa':
    case 'ed25519':
    case 'sha256_concat':
    case 'params_signature':
      return precheckSignedText(data, scope);
    case 'rsa_x509':
      return precheckRsa(data, scope);
    case 'standard_webhooks':
      return precheckStandardWebhook(data, scope);
    case 'jwt':
      return isInBody(data.token.in) ? undefined : precheckJwt(data, scope);
    case 'shared_token':
    case 'body_token':
      return precheckToken(data, scope);
    case 'basic':
      return precheckBasic(data, scope);
    case 'none':
      return precheckNone(data, scope);
    case 'sns':
    case 'signed_request':
    case 'set':
      return undefined;
  }
}

export async function verifyScheme(
  endpoint: WebhookEndpointDialect,
  scope: Scope,
  { issuers, certificates }: { issuers: IssuerKeys; certificates: Certificates },
): Promise<Verification> {
  const { verify: data } = endpoint;
  switch (data.scheme) {
    case 'hmac':
    case 'ecdsa':
    case 'ed25519':
    case 'sha256_concat':
    case 'params_signature':
      return verifySignedText(data, endpoint, scope);
    case 'rsa_x509':
      return verifyRsa(data, certificates, scope);
    case 'sns':
      return verifySns(data, certificates, scope);
    case 'standard_webhooks':
      return verifyStandardWebhook(data, scope);
    case 'jwt':
      return verifyJwt(data, issuers, scope);
    case 'signed_request':
      return verifySignedRequest(data, scope);
    case 'shared_token':
    case 'body_token':
      return verifyToken(data, endpoint, scope);
    case 'basic':
      return verifyBasic(data, scope);
    case 'none':
      return verifyNone(data, scope);
    case 'set':
      return refused('no_endpoint');
  }
}
