// What little of XML webhooks is read: elements by their local name. No entity is resolved but the five of XML itself, and
// nothing is fetched. Linear in the length of the text.

const PREFIX = '(?:[\\w.-]{1,100}:)?';

/** The elements of that local name, one after the other, whole; up to `most`. */
export function elements(xml: string, name: string, most: number): string[] {
  const found: string[] = [];
  for (let at = 0; at < xml.length && found.length < most; ) {
    const element = elementFrom(xml, name, at);
    if (element === undefined) break;
    found.push(xml.slice(element.start, element.end));
    at = element.end;
  }
  return found;
}

function elementFrom(xml: string, name: string, from: number) {
  const open = new RegExp(`<${PREFIX}${name}(?:\\s[^<>]{0,4000})?>`, 'g');
  open.lastIndex = from;
  const start = open.exec(xml);
  if (!start) return undefined;
  const close = new RegExp(`</${PREFIX}${name}\\s{0,100}>`, 'g');
  close.lastIndex = start.index;
  const end = close.exec(xml);
  return end ? { start: start.index, end: close.lastIndex, content: xml.slice(open.lastIndex, end.index) } : undefined;
}

/** The text of the first element of that name, or with `name@attribute` its attribute; undefined: it is missing, or has elements. */
export function textIn(xml: string, path: string): string | undefined {
  const [name = '', attribute] = path.split('@');
  if (attribute === undefined) {
    const { content } = elementFrom(xml, name, 0) ?? {};
    return content === undefined || content.includes('<') ? undefined : decode(content);
  }
  const tag = new RegExp(`<${PREFIX}${name}\\s([^<>]{0,4000})>`).exec(xml)?.[1];
  const value = tag && new RegExp(`(?:^|[\\s:])${attribute}\\s{0,9}=\\s{0,9}["']([^"'<>]{0,1000})["']`).exec(tag)?.[1];
  return value === undefined || value === '' ? undefined : decode(value);
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const decode = (text: string): string => text.replace(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => ENTITIES[name]!);
