// Collects secrets, and searches output for them: plain, encoded, and halves of them.

export interface Secrets {
  /** Adds a secret of a kind (`refresh token`); ignores absent values. */
  add(kind: string, value: string | null | undefined): void;
  /** The number of distinct secrets of each kind. */
  counts(): Record<string, number>;
  /** `<kind> as <encoding>` of each secret that occurs in the bytes; never the secret itself, since test reports are public. */
  foundIn(bytes: Buffer): string[];
}

/** Halves of shorter secrets would occur by chance. */
const MIN_LENGTH = 16;

export function createSecrets(): Secrets {
  const known = new Map<string, string>();
  return {
    add(kind, value) {
      if (value === null || value === undefined || value === '') return;
      if (value.length < MIN_LENGTH) throw new Error(`a ${kind} of ${value.length} characters cannot be looked for`);
      known.set(value, kind);
    },
    counts() {
      const kinds = [...Map.groupBy(known.values(), (kind) => kind)];
      return Object.fromEntries(kinds.map(([kind, all]) => [kind, all.length]));
    },
    foundIn(bytes) {
      const needles = [...known].flatMap(([value, kind]) =>
        [...distinctEncodings(value)].map(([needle, form]) => ({ needle, label: `${kind} as ${form}` })),
      );
      const byBeginning = Map.groupBy(needles, ({ needle }) => needle.readInt32BE());
      // Few places have the third and fourth byte of a needle: a table of them is looked up faster than a map.
      const isCandidate = new Uint8Array(0x1_00_00);
      for (const start of byBeginning.keys()) isCandidate[start & 0xffff] = 1;
      const found = new Set<string>();
      // One pass over the bytes for all secrets: there may be megabytes.
      let beginning = 0;
      for (let end = 1; end <= bytes.length; end++) {
        beginning = (beginning << 8) | bytes[end - 1]!;
        if (isCandidate[beginning & 0xffff] === 0) continue;
        const at = end - 4;
        for (const { needle, label } of byBeginning.get(beginning) ?? [])
          if (at >= 0 && needle.equals(bytes.subarray(at, at + needle.length))) found.add(label);
      }
      return [...found].sort();
    },
  };
}

/** Each distinct encoding once, under its first name. */
function distinctEncodings(value: string): Iterable<[needle: Buffer, form: string]> {
  const forms = new Map<string, [Buffer, string]>();
  for (const [form, needle] of encodingsOf(value)) {
    const bytes = Buffer.from(needle);
    if (!forms.has(bytes.toString('latin1'))) forms.set(bytes.toString('latin1'), [bytes, form]);
  }
  return forms.values();
}

function encodingsOf(value: string): [form: string, needle: string | Buffer][] {
  const bytes = Buffer.from(value);
  const half = Math.ceil(value.length / 2);
  // A key of the ring is base64url in the configuration, but its raw bytes could leak.
  const raw = Buffer.from(value, 'base64url');
  const isBytes = raw.length === 32 && raw.toString('base64url') === value;
  return [
    ['it is', bytes],
    ['its first half', value.slice(0, Math.max(half, MIN_LENGTH))],
    ['its second half', value.slice(-Math.max(half, MIN_LENGTH))],
    ['URL-encoded', encodeURIComponent(value)],
    ['form-encoded', new URLSearchParams({ v: value }).toString().slice(2)],
    ['JSON', JSON.stringify(value).slice(1, -1)],
    ['hex', bytes.toString('hex')],
    ['upper-case hex', bytes.toString('hex').toUpperCase()],
    ['lower case', value.toLowerCase()],
    ...[0, 1, 2].flatMap((offset): [string, string][] => {
      const standard = base64AtOffset(bytes, offset);
      return [
        ['base64', standard],
        ['base64url', standard.replaceAll('+', '-').replaceAll('/', '_')],
      ];
    }),
    ...(isBytes
      ? ([
          ['bytes', raw],
          ['hex of its bytes', raw.toString('hex')],
          ['base64 of its bytes', base64AtOffset(raw, 0)],
        ] satisfies [string, string | Buffer][])
      : []),
  ];
}

/** The base64 of the bytes at this offset (modulo 3) of a longer text, as in a Basic header. */
function base64AtOffset(bytes: Buffer, offset: number): string {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  const from = Math.ceil((offset * 8) / 6);
  return whole.slice(from, Math.floor(((offset + bytes.length) * 8) / 6));
}
