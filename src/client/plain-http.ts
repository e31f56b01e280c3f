// Where keys and tokens may travel: over https, within this machine, and where the user of this client says so.
import { ValetkeyError } from './errors.ts';

/** Throws `insecure_url` for anywhere else. `allowed`: host names, without a port. */
export function refuseInsecure({ protocol, hostname, host }: URL, allowed: readonly string[]): void {
  if (protocol === 'https:') return;
  if (protocol === 'http:' && (LOOPBACK.test(hostname) || allowed.includes(hostname))) return;
  const detail = `Nothing was sent to ${host}: it is not https. Name the host in allowHttp to send secrets in the clear`;
  throw new ValetkeyError({ code: 'insecure_url', status: 0, detail });
}

const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|(.+\.)?localhost)$/;
