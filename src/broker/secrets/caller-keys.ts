// The format of caller keys: secret scanners recognise it, and its checksum tells a mistyped key from an unknown one.
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PREFIX = 'vk_';
/** Digits that hold 256 bits. */
const SECRET_LENGTH = 43;
/** Digits that hold 32 bits. */
const CHECKSUM_LENGTH = 6;
const FORM = /^(vk_[0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

function inDigits(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; rest > 0n; rest /= 62n) text = DIGITS[Number(rest % 62n)] + text;
  return text.padStart(length, '0');
}

const checksum = (text: string): string => inDigits(BigInt(crc32(text)), CHECKSUM_LENGTH);

/** `vk_`, 256 random bits in base 62, and the CRC-32 of all that in base 62. */
export function newCallerKey(): string {
  const text = PREFIX + inDigits(BigInt(`0x${randomBytes(32).toString('hex')}`), SECRET_LENGTH);
  return text + checksum(text);
}

/** Whether it has the prefix of a caller key but cannot be one: characters are missing, wrong or too many. */
export function isMistyped(key: string): boolean {
  if (!key.startsWith(PREFIX)) return false;
  const [, text, sum] = FORM.exec(key) ?? [];
  return text === undefined || checksum(text) !== sum;
}
