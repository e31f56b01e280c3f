// Signatures of whole requests, for APIs that take no token: AWS Signature Version 4.
import type { AwsKeys } from '../domain/proxied-credential.ts';

export interface AwsRequest {
  method: string;
  url: string;
  /** Names and values in turn. */
  headers: readonly string[];
  /** `unsigned`: a stream, which only S3 takes unsigned. */
  body: Uint8Array | null | 'unsigned';
  keys: AwsKeys;
  /** Where they are not in the host's name. */
  service: string | undefined;
  region: string | undefined;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface SignedAwsRequest {
  /** As it was signed, with the query. */
  path: string;
  headers: string[];
}

/** Signs a request; its headers may not be changed afterwards. Never rejects for anything that a caller sends. */
export type SignAwsRequest = (request: AwsRequest) => Promise<SignedAwsRequest>;
