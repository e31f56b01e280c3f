// Where keys and tokens may be sent: to https, to this machine, and to hosts that the user of this client allows.
import { ValetkeyError } from './errors.ts';

/** Throws `insecure_url` for any other URL. `allowed`: host names, without a port. */
export function requireSecureUrl(url: URL, allowed: readonly string[]): void {
  if (isSecure(url, allowed)) return;
  const detail =
    url.protocol === 'http:'
      ? `Nothing was sent to ${url.host}: it is not https. Add the host to allowHttp to send secrets unencrypted`
      : `Nothing was sent: a URL begins with https:// (or http://), and this one with ${url.protocol}`;
  throw new ValetkeyError({ code: 'insecure_url', status: 0, detail });
}

/** Whether secrets may be sent there. */
export const isSecure = ({ protocol, hostname }: URL, allowed: readonly string[]): boolean =>
  protocol === 'https:' || (protocol === 'http:' && (LOOPBACK.test(hostname) || allowed.includes(hostname)));

const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|(.+\.)?localhost)$/;
