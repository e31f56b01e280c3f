// IP addresses as text, ranges of them, and what counts as one client.
import ipaddr from 'ipaddr.js';

export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6;

export interface IpRange {
  address: IpAddress;
  /** Of the prefix. */
  bits: number;
}

/** The longest text of an IPv6 address, with a zone. */
const LONGEST = 64;

/** An address in its usual form; IPv4-mapped IPv6 as the IPv4 address. Undefined: it is none. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.length > LONGEST) return undefined;
  // `isValid` also takes the short and the octal forms, which read differently elsewhere.
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!text.includes(':') || !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.process(text.replace(/%.*$/s, ''));
}

/** An address or a CIDR. Undefined: it is neither. */
export function parseIpRange(text: string): IpRange | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const parsed = parseIp(address);
  if (!parsed || rest.length > 0) return undefined;
  const all = parsed.kind() === 'ipv4' ? 32 : 128;
  if (bits === undefined) return { address: parsed, bits: all };
  if (!/^\d{1,3}$/.test(bits)) return undefined;
  // `::ffff:10.0.0.0/104` is 10.0.0.0/8.
  const mapped = all === 32 && address.includes(':') ? 96 : 0;
  const count = Number(bits) - mapped;
  return count >= 0 && count <= all ? { address: parsed, bits: count } : undefined;
}

export const isInRange = (address: IpAddress, ranges: readonly IpRange[]): boolean =>
  ranges.some((range) => address.kind() === range.address.kind() && address.match(range.address, range.bits));

/**
 * Whether a range is wider than any private one (10.0.0.0/8, fc00::/7): the operator who lists such a range has not
 * meant their own network.
 */
export const isTooWide = ({ address, bits }: IpRange): boolean => bits < (address.kind() === 'ipv4' ? 8 : 7);

/** The form of `VALETKEY_TRUSTED_PROXIES`. An issue names the entry. */
export function parseTrustedProxies(text: string): { ok: true; ranges: IpRange[] } | { ok: false; issues: string[] } {
  const entries = listOf(text).map((entry) => ({ entry, range: parseIpRange(entry) }));
  const issues = entries.flatMap(({ entry, range }) => {
    if (!range) return [`"${entry}" is not an IP address or a CIDR`];
    if (isTooWide(range)) return [`"${entry}" would believe whatever clients say: list the addresses of your proxies`];
    return [];
  });
  return issues.length > 0 ? { ok: false, issues } : { ok: true, ranges: entries.map(({ range }) => range!) };
}

/** The entries of a comma-separated list. */
export const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

/** What counts as one client: an IPv4 address, or the /64 that a site hands its hosts their IPv6 addresses from. */
export function clientNetwork(text: string): string {
  const address = parseIp(text);
  if (!(address instanceof ipaddr.IPv6)) return address?.toString() ?? text;
  const parts = address.parts.slice(0, 4).map((part) => part.toString(16));
  return `${parts.join(':')}::/64`;
}
