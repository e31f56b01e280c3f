// Egress through a proxy: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, and which requests go through which proxy.
import ipaddr from 'ipaddr.js';
import { ipFamily } from './ip-family.ts';

export interface EgressProxies {
  /** For https URLs: it is asked for a tunnel (CONNECT). It may hold credentials: not to be logged. */
  https?: URL | undefined;
  /** For http URLs: it is sent the request itself. It may hold credentials: not to be logged. */
  http?: URL | undefined;
  /** Entries that `parseNoProxy` has read. */
  direct: readonly NoProxyEntry[];
  /**
   * Who resolves the names of tunnels. The broker: it judges the addresses, and asks for a tunnel to the address that it
   * has judged. The proxy: it is asked by name, and which addresses it reaches is its own matter.
   */
  resolves: 'broker' | 'proxy';
}

export const NO_PROXIES: EgressProxies = { direct: [], resolves: 'broker' };

/** What is reached without a proxy. Without a port, at every port. */
export type NoProxyEntry = { port: number | undefined } & (
  | { kind: 'all' }
  /** The name itself unless `below`, and all names below it. */
  | { kind: 'name'; name: string; below: boolean }
  | { kind: 'range'; range: [ipaddr.IPv4 | ipaddr.IPv6, number] }
);

/** Reads `http://user:password@host:port`; a scheme may be missing. Issues never repeat the text. */
export function parseProxyUrl(text: string): { ok: true; url: URL } | { ok: false; issues: string[] } {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text.trim() : `http://${text.trim()}`);
  const isProxy = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '';
  if (!isProxy || !/^\/?$/.test(url.pathname) || url.search !== '' || !canDecode(url))
    return { ok: false, issues: ['the URL of an HTTP proxy, such as http://proxy.internal:3128'] };
  return { ok: true, url };
}

function canDecode({ username, password }: URL): boolean {
  try {
    return [username, password].every((part) => !/\p{Cc}/u.test(decodeURIComponent(part)));
  } catch {
    return false;
  }
}

const HOST = /^(\*?\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/;

/**
 * Reads a list of hosts (`example.com` and what is below it, `*.example.com` only what is below), addresses, CIDRs and `*`,
 * each with or without a port, separated by commas or spaces. `ignored`: what is none of these.
 */
export function parseNoProxy(text: string): { entries: NoProxyEntry[]; ignored: string[] } {
  const entries: NoProxyEntry[] = [];
  const ignored: string[] = [];
  for (const one of text.split(/[\s,]+/).filter((part) => part !== '')) {
    const entry = parseEntry(one.toLowerCase());
    if (entry === undefined) ignored.push(one);
    else entries.push(entry);
  }
  return { entries, ignored };
}

function parseEntry(text: string): NoProxyEntry | undefined {
  const [, bracketed, bracketPort] = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ?? [];
  const [, plain, plainPort] = /^([^:]+):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? text;
  const digits = bracketPort ?? plainPort;
  const port = digits === undefined ? undefined : Number(digits);
  if (host === '*') return { kind: 'all', port };
  const range = rangeOf(host);
  if (range !== undefined) return { kind: 'range', range, port };
  if (!HOST.test(host) || /^[\d.]+$/.test(host)) return undefined;
  return { kind: 'name', name: host.replace(/^\*?\./, '').replace(/\.$/, ''), below: host.startsWith('*.'), port };
}

function rangeOf(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] | undefined {
  if (ipFamily(text) !== 0) return [ipaddr.process(text), ipaddr.process(text).toByteArray().length * 8];
  return ipFamily(text.split('/')[0] ?? '') !== 0 && ipaddr.isValidCIDR(text) ? ipaddr.parseCIDR(text) : undefined;
}

/** The proxy that requests to a URL go through; undefined: none. */
export function proxyFor(url: URL, { https, http, direct }: EgressProxies): URL | undefined {
  const proxy = url.protocol === 'https:' ? https : http;
  if (proxy === undefined) return undefined;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  return direct.some((entry) => matches(entry, host, port)) ? undefined : proxy;
}

function matches(entry: NoProxyEntry, host: string, port: number): boolean {
  if (entry.port !== undefined && entry.port !== port) return false;
  if (entry.kind === 'all') return true;
  if (entry.kind === 'name') return (!entry.below && host === entry.name) || host.endsWith(`.${entry.name}`);
  if (ipFamily(host) === 0) return false;
  const address = ipaddr.process(host);
  return address.kind() === entry.range[0].kind() && address.match(entry.range);
}

/** The header that authenticates at the proxy (RFC 7617), where its URL holds credentials. */
export function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}
