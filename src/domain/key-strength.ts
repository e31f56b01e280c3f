// How hard a key is to guess, roughly: what was made by a generator is told from what someone has typed.

/** What people put into keys that are to be replaced later, the longest first. */
const WORDS = [
  ...['replaceme', 'replace', 'changeme', 'change', 'changeit', 'password', 'passwort', 'passphrase', 'supersecret'],
  ...['administrator', 'valetkey', 'example', 'default', 'development', 'production', 'staging', 'bootstrap', 'demo'],
  ...['qwertyuiop', 'qwerty', 'asdfghjkl', 'zxcvbnm', 'letmein', 'welcome', 'please', 'secret', 'super', 'admin'],
  ...['correct', 'horse', 'battery', 'staple', 'quick', 'brown', 'jumps', 'over', 'lazy', 'company', 'corp', 'acme'],
  ...[
    'for',
    'our',
    'prod',
    'with',
    'token',
    'sample',
    'testing',
    'test',
    'local',
    'root',
    'user',
    'word',
    'this',
    'your',
    'key',
    'not',
    'the',
  ],
].sort((a, b) => b.length - a.length);
/** And years. */
const ANY_WORD = new RegExp(`${WORDS.join('|')}|(?:19|20)\\d\\d`, 'g');
const WORD_BITS = 6;

/** Of a stretch that repeats an earlier one, or that counts up or down. */
const REPEATED_BITS = 10;
const SHORTEST_REPEAT = 3;
/** Of two rows that are laced into each other, such as `a1b2c3` or `001122`. */
const SHORTEST_LACED = 6;

/** Characters that a key may have been drawn from, by the kinds that are in it. */
const KINDS: [RegExp, number][] = [
  [/[0-9]/, 10],
  [/[a-f]/, 6],
  [/[g-z]/, 20],
  [/[A-F]/, 6],
  [/[G-Z]/, 20],
  [/[^0-9A-Za-z]/, 4],
];

/** Fewer bits than this can be guessed by someone who takes the trouble. */
export const ENOUGH_KEY_BITS = 80;

/** An estimate from above: a sentence that means something to someone is overrated. */
export function estimatedKeyBits(key: string): number {
  const text = key.slice(0, 1_000);
  // Separators tell no more than the words between them.
  const rest = text
    .toLowerCase()
    .replace(ANY_WORD, '')
    .replace(/[-_. ]/g, '');
  const words = text.toLowerCase().match(ANY_WORD)?.length ?? 0;
  const alphabet = KINDS.filter(([kind]) => kind.test(text)).reduce((sum, [, count]) => sum + count, 0);
  return words * WORD_BITS + literalBits(rest, Math.log2(Math.max(2, alphabet)));
}

function literalBits(text: string, bitsEach: number): number {
  let bits = 0;
  for (let at = 0; at < text.length; ) {
    const laced = stepsAt(text, at, 2);
    const length = Math.max(repeatAt(text, at), stepsAt(text, at, 1), laced < SHORTEST_LACED ? 0 : laced);
    bits += length < SHORTEST_REPEAT ? bitsEach : Math.min(REPEATED_BITS, bitsEach * length);
    at += length < SHORTEST_REPEAT ? 1 : length;
  }
  return bits;
}

/** How much from here on has been there before. */
function repeatAt(text: string, at: number): number {
  let longest = 0;
  for (let from = 0; from < at; from++) {
    let length = 0;
    while (at + length < text.length && text[from + length] === text[at + length]) length++;
    longest = Math.max(longest, length);
  }
  return longest;
}

/** How far it goes on in equal steps, from each character to the one `gap` behind it: `aaaa`, `abcd`, `4321`. */
function stepsAt(text: string, at: number, gap: number): number {
  const stepFrom = (place: number) => text.charCodeAt(place + gap) - text.charCodeAt(place);
  const step = stepFrom(at);
  if (!(Math.abs(step) <= 1)) return 0;
  let length = gap;
  while (stepFrom(at + length - gap) === step) length++;
  return length;
}
