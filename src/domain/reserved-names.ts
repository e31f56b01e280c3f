// Names and ids that stand for something else in the audit log: no caller may have one, or one that looks like it.

import { ADMIN_ID } from './caller.ts';

/** The name of the caller behind `VALETKEY_ADMIN_KEY`. */
export const ADMIN_CALLER_NAME = 'admin key';

/** Letters of other scripts, and digits, that look like Latin ones in the words above. */
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  а: 'a',
  α: 'a',
  ɑ: 'a',
  '@': 'a',
  '4': 'a',
  ь: 'b',
  в: 'b',
  с: 'c',
  ϲ: 'c',
  ԁ: 'd',
  ɗ: 'd',
  е: 'e',
  ε: 'e',
  ё: 'e',
  '3': 'e',
  ց: 'g',
  һ: 'h',
  і: 'i',
  ι: 'i',
  ı: 'i',
  '1': 'i',
  '!': 'i',
  l: 'i',
  '|': 'i',
  ӏ: 'i',
  ј: 'j',
  к: 'k',
  κ: 'k',
  м: 'm',
  п: 'n',
  η: 'n',
  ո: 'n',
  о: 'o',
  ο: 'o',
  օ: 'o',
  '0': 'o',
  р: 'p',
  ρ: 'p',
  г: 'r',
  ѕ: 's',
  '5': 's',
  $: 's',
  т: 't',
  τ: 't',
  '7': 't',
  υ: 'u',
  ս: 'u',
  ѵ: 'v',
  ν: 'v',
  ԝ: 'w',
  ω: 'w',
  х: 'x',
  χ: 'x',
  у: 'y',
  γ: 'y',
};

/** The name as a hasty reader sees it: without case, marks, spaces and signs, and look-alikes as one letter. */
function fold(name: string): string {
  const plain = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\p{M}\p{Default_Ignorable_Code_Point}\p{Cf}]/gu, '');
  return [...plain]
    .map((letter) => LOOK_ALIKES[letter] ?? letter)
    .join('')
    .replace(/[^\p{L}\p{N}]/gu, '');
}

const RESERVED: ReadonlySet<string> = new Set(
  [ADMIN_ID, ADMIN_CALLER_NAME, 'key_admin', 'system', 'browser', 'stranger'].map(fold),
);
/** A name must not pretend to be an id. */
const ID = /^clr_|^[a-z]{2,3}_[0-9a-z]{20,}$/;

/** What is wrong with the name or the id of a caller; undefined: nothing. */
export function reservedIssue(text: string, kind: 'name' | 'id'): string | undefined {
  if (RESERVED.has(fold(text))) return 'is reserved, or looks like a name that is: choose another one';
  const visible = text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\p{Default_Ignorable_Code_Point}\p{Cf}\s]/gu, '');
  if (kind === 'name' && ID.test(visible)) return 'looks like an id: choose another name';
  return undefined;
}
