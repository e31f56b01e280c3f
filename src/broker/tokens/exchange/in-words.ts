// What the audit log says of the tokens of an exchange.
import type { ExchangedIdentity, InvalidToken } from './exchanged-identity.ts';

/** Characters of a subject: issuers choose them. */
const SUBJECT_LENGTH = 255;

/** One that could pass for the words around it is in quotes: users may choose theirs. */
const quoted = (subject: string): string => (/^[\x21\x23-\x7e]+$/.test(subject) ? subject : JSON.stringify(subject));

const party = ({ issuer, subject }: { issuer?: string | undefined; subject?: string | undefined }): string =>
  [
    ...(subject === undefined ? [] : [`subject ${quoted(subject.slice(0, SUBJECT_LENGTH))}`]),
    ...(issuer ? [`of ${issuer}`] : []),
  ].join(' ');

export const subjectInWords = (found: ExchangedIdentity): string =>
  [party(found), ...(found.actor ? [`actor: ${party(found.actor)}`] : [])].join('; ');

export const refusedInWords = ({ token, reason, why, ...who }: InvalidToken): string => {
  const whose = party(who);
  return `${token} token: ${reason}${whose === '' ? '' : ` (${whose})`}${why === undefined ? '' : `; ${why}`}`;
};
