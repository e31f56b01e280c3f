// The declarative file as text: JSON whose strings may hold `${NAME}` of the environment. Its schema is in
// `src/api/declarative-file.ts`.

export type DeclaredText =
  /** `unset`: each place that names a variable which is not set or empty. There the variable is replaced by nothing. */
  | { ok: true; value: unknown; unset: { at: string; name: string }[] }
  /** It is not valid JSON. */
  | { ok: false };

/** A variable that is unset, or empty, is reported for every place that names it, and replaced by nothing. */
export function readDeclared(text: string, env: Record<string, string | undefined>): DeclaredText {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return { ok: false };
  }
  const unset: { at: string; name: string }[] = [];
  const value = fillIn(raw, [], (name, at) => {
    const found = env[name];
    if (found === undefined || found === '') unset.push({ at, name });
    return found ?? '';
  });
  return { ok: true, value, unset };
}

/** A value that was filled in is not searched again. `at`: its path. */
function fillIn(value: unknown, at: string[], lookUp: (name: string, at: string) => string): unknown {
  if (typeof value === 'string')
    return value.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => lookUp(name, at.join('.')));
  if (Array.isArray(value)) return value.map((item, i) => fillIn(item, [...at, String(i)], lookUp));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillIn(item, [...at, key], lookUp)]));
  }
  return value;
}

/** `integrations.0.scopes` with the name of its entry: `integration acme: scopes`. */
export function readablePath(
  path: string,
  declared: { integrations?: { id?: unknown }[]; callers?: { name?: unknown }[] },
): string {
  const [list = '', index = '', ...rest] = path.split('.');
  const name =
    list === 'integrations' ? declared.integrations?.[Number(index)]?.id : declared.callers?.[Number(index)]?.name;
  const known = (list === 'integrations' || list === 'callers') && typeof name === 'string';
  return known ? [`${list.slice(0, -1)} ${name}`, rest.join('.')].filter((part) => part !== '').join(': ') : path;
}
