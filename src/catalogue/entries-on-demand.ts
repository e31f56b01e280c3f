// Entries of the bundle, of which each is parsed when it is first asked for: a broker uses a few of them.
import type { Provider } from '../domain/provider.ts';

/** `lines`: the ids in JSON, and then each entry in JSON, in their order. */
export function entriesOnDemand([ids = '', ...lines]: string[]): ReadonlyMap<string, Provider> {
  const texts = new Map((JSON.parse(ids) as string[]).map((id, i): [string, string] => [id, lines[i]!]));
  const parsed = new Map<string, Provider>();
  function get(id: string): Provider | undefined {
    const text = texts.get(id);
    if (text === undefined) return undefined;
    const entry = parsed.get(id) ?? (JSON.parse(text) as Provider);
    parsed.set(id, entry);
    return entry;
  }
  const all = () => new Map([...texts.keys()].map((id): [string, Provider] => [id, get(id)!]));
  return {
    size: texts.size,
    get,
    has: (id) => texts.has(id),
    keys: () => texts.keys(),
    values: () => all().values(),
    entries: () => all().entries(),
    [Symbol.iterator]: () => all().entries(),
    forEach: (callback) => all().forEach(callback),
  };
}

/** What it reads. ASCII: of a text with other letters, V8 takes two bytes for each. */
export function linesOf(providers: ReadonlyMap<string, Provider>): string[] {
  const escaped = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const lines = [[...providers.keys()], ...providers.values()].map((value) => JSON.stringify(value));
  return lines.map((line) => line.replace(/[\u0080-\uffff]/g, escaped));
}
