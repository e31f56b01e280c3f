// Hosts that only this machine can reach.

/** `hostname` as the `hostname` of a `URL`: an IPv6 address stands in brackets. */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
