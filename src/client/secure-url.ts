// Where keys and tokens may be sent: to https, to this machine, and to hosts that the user of this client allows.
import { ValetkeyError } from './errors.ts';

/** Throws `insecure_url` for any other URL. `allowed`: host names, without a port. */
export function requireSecureUrl({ protocol, hostname, host }: URL, allowed: readonly string[]): void {
  if (protocol === 'https:') return;
  if (protocol === 'http:' && (LOOPBACK.test(hostname) || allowed.includes(hostname))) return;
  const detail = `Nothing was sent to ${host}: it is not https. Add the host to allowHttp to send secrets unencrypted`;
  throw new ValetkeyError({ code: 'insecure_url', status: 0, detail });
}

const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|(.+\.)?localhost)$/;
