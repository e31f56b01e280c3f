// Protected resources, as data of a mode: how the authorization server of a resource is found when someone connects (RFC 9728).
import { z } from 'zod';
import { Name, Template, UrlTemplate } from './fields-schema.ts';

/** A request without a token, which the resource answers with a challenge (RFC 6750 3, RFC 9728 5.1). */
const ChallengeRequest = z.strictObject({
  method: z.enum(['POST', 'GET']).default('POST'),
  headers: z.record(z.string(), z.string()).default({}),
  /** The body, sent as JSON as it is. */
  json: z.record(z.string(), z.unknown()).optional(),
});
export type ChallengeRequest = z.infer<typeof ChallengeRequest>;

/**
 * The mode has no endpoints of its own: the resource names its authorization server, and that its endpoints. Templates of the
 * mode may have `{resource}` in them, the resource identifier as it is published (RFC 8707).
 */
export const ProtectedResource = z.strictObject({
  /** Its URL: a param of the integration, or of each connection where the integration leaves it out. */
  url: UrlTemplate,
  /** The param of the integration that lists the hosts of which connections may name resources. */
  hosts: Name.optional(),
  /** In this order: the next one is sent where the one before is answered with 400. */
  challenge: z.array(ChallengeRequest).min(1),
  /** Where it can be filled, the one issuer that the resource may name: where the integration's client is registered. */
  issuer: Template.optional(),
  /** A client id metadata document that is hosted elsewhere. By default the broker publishes one. */
  client_metadata_url: Template.optional(),
  /** Where it fills to `assumed`, S256 is used although the authorization server does not announce it (RFC 7636, RFC 8414). */
  pkce: Template.optional(),
});
export type ProtectedResource = z.infer<typeof ProtectedResource>;
