// The format of caller keys and of the tokens of agent sessions: secret scanners recognise it, and its checksum tells a mistyped
// one from an unknown one.
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const KEY = 'vk_';
const SESSION = 'vs_';
/** Digits that hold 256 bits. */
const SECRET_LENGTH = 43;
/** Digits that hold 32 bits. */
const CHECKSUM_LENGTH = 6;
const FORM = /^(v[ks]_[0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

function inDigits(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; rest > 0n; rest /= 62n) text = DIGITS[Number(rest % 62n)] + text;
  return text.padStart(length, '0');
}

const checksum = (text: string): string => inDigits(BigInt(crc32(text)), CHECKSUM_LENGTH);

/** The prefix, 256 random bits in base 62, and the CRC-32 of all that in base 62. */
function made(prefix: string): string {
  const text = prefix + inDigits(BigInt(`0x${randomBytes(32).toString('hex')}`), SECRET_LENGTH);
  return text + checksum(text);
}

export const newCallerKey = (): string => made(KEY);
export const newSessionToken = (): string => made(SESSION);

export const isSessionToken = (presented: string): boolean => presented.startsWith(SESSION);

/** Whether it has the prefix of a caller key or a session token but cannot be one: characters are missing, wrong or too many. */
export function isMistyped(presented: string): boolean {
  if (!presented.startsWith(KEY) && !isSessionToken(presented)) return false;
  const [, text, sum] = FORM.exec(presented) ?? [];
  return text === undefined || checksum(text) !== sum;
}
