// Gathers every secret that passes, and looks for them in what was emitted: as they are, encoded, and cut in half.

export interface Secrets {
  /** A kind of secret (`refresh token`) and one that passed; absent ones are ignored, so that callers need not ask. */
  add(kind: string, value: string | null | undefined): void;
  /** How many different ones of each kind. */
  counts(): Record<string, number>;
  /** `<kind> as <form>` of each that occurs in the bytes; never the secret itself, since test reports are read too. */
  foundIn(bytes: Buffer): string[];
}

/** Shorter than this, halves occur by chance. */
const SHORTEST = 16;

export function createSecrets(): Secrets {
  const known = new Map<string, string>();
  return {
    add(kind, value) {
      if (value === null || value === undefined || value === '') return;
      if (value.length < SHORTEST) throw new Error(`a ${kind} of ${value.length} characters cannot be looked for`);
      known.set(value, kind);
    },
    counts() {
      const kinds = [...Map.groupBy(known.values(), (kind) => kind)];
      return Object.fromEntries(kinds.map(([kind, all]) => [kind, all.length]));
    },
    foundIn(bytes) {
      const needles = [...known].flatMap(([value, kind]) =>
        [...formsOf(value)].map(([needle, form]) => ({ needle, told: `${kind} as ${form}` })),
      );
      const byBeginning = Map.groupBy(needles, ({ needle }) => needle.readInt32BE());
      const found = new Set<string>();
      // One pass over what may be megabytes, however many secrets there are.
      let beginning = 0;
      for (let end = 1; end <= bytes.length; end++) {
        beginning = (beginning << 8) | bytes[end - 1]!;
        const at = end - 4;
        for (const { needle, told } of byBeginning.get(beginning) ?? [])
          if (at >= 0 && needle.equals(bytes.subarray(at, at + needle.length))) found.add(told);
      }
      return [...found].sort();
    },
  };
}

/** Each spelling once, with the first name that it has. */
function formsOf(value: string): Iterable<[needle: Buffer, form: string]> {
  const forms = new Map<string, [Buffer, string]>();
  for (const [form, needle] of spellingsOf(value)) {
    const bytes = Buffer.from(needle);
    if (!forms.has(bytes.toString('latin1'))) forms.set(bytes.toString('latin1'), [bytes, form]);
  }
  return forms.values();
}

function spellingsOf(value: string): [form: string, needle: string | Buffer][] {
  const bytes = Buffer.from(value);
  const half = Math.ceil(value.length / 2);
  // A key of the ring is bytes that are written as base64url: what is used, and could leak, are the bytes.
  const raw = Buffer.from(value, 'base64url');
  const isBytes = raw.length === 32 && raw.toString('base64url') === value;
  return [
    ['it is', bytes],
    ['its first half', value.slice(0, Math.max(half, SHORTEST))],
    ['its second half', value.slice(-Math.max(half, SHORTEST))],
    ['URL-encoded', encodeURIComponent(value)],
    ['form-encoded', new URLSearchParams({ v: value }).toString().slice(2)],
    ['JSON', JSON.stringify(value).slice(1, -1)],
    ['hex', bytes.toString('hex')],
    ['upper-case hex', bytes.toString('hex').toUpperCase()],
    ['lower case', value.toLowerCase()],
    ...[0, 1, 2].flatMap((offset): [string, string][] => {
      const standard = base64Within(bytes, offset);
      return [
        ['base64', standard],
        ['base64url', standard.replaceAll('+', '-').replaceAll('/', '_')],
      ];
    }),
    ...(isBytes
      ? ([
          ['bytes', raw],
          ['hex of its bytes', raw.toString('hex')],
          ['base64 of its bytes', base64Within(raw, 0)],
        ] satisfies [string, string | Buffer][])
      : []),
  ];
}

/** What the base64 of a longer text holds when the bytes begin in it at this offset (modulo 3), as in a Basic header. */
function base64Within(bytes: Buffer, offset: number): string {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  const from = Math.ceil((offset * 8) / 6);
  return whole.slice(from, Math.floor(((offset + bytes.length) * 8) / 6));
}
