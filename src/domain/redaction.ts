// Redaction of secrets in error texts. Errors repeat what was sent and are logged in many places: a token that was sent as
// an id, a path or a field name must not appear in them. Our ids have 30 characters, secrets at least 32.

/** The lines of a PEM may be short: its runs alone do not give it away. */
const PEM = /-----BEGIN[\s\S]*?(?:-----END[^-]*-----|$)/g;
/** Names of members and parameters, such as `code_challenge_methods_supported`: what is random has digits or capitals. */
const WORDS = /^[a-z]{2,20}(?:_[a-z]{2,20})+$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Replaces PEM blocks and every run of 32 or more token characters by `…`; UUIDs and words joined by underscores stay. */
export const redactSecrets = (text: string): string =>
  text.replace(PEM, '…').replace(/[\w+=%-]{32,}/g, (run) => (UUID.test(run) || WORDS.test(run) ? run : '…'));
