// The compact form of a JWS (RFC 7515 3.1), strictly: decoders would ignore white space, padding, and bits that say nothing.

const PARTS = /^[\w-]+\.[\w-]+\.[\w-]*$/;
/** The characters after which no bit is left over, by how many there are beyond whole groups of four (RFC 4648 3.5). */
const LAST = ['', '', 'AQgw', 'AEIMQUYcgkosw048'] as const;

/**
 * Whether it is three parts of base64url, the last of which may be empty, and the signature is written as it is encoded. Otherwise
 * anyone could write one token in several ways, since the signature alone is not signed: each way would be another token where
 * tokens are remembered by their text.
 */
export function isCompact(token: string): boolean {
  if (!PARTS.test(token)) return false;
  const beyond = (token.length - token.lastIndexOf('.') - 1) % 4;
  return beyond === 0 || LAST[beyond]!.includes(token.at(-1)!);
}
