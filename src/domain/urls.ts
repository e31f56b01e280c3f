// What hosts in URLs mean.

/** Whether a `URL.hostname` names this machine only: `localhost`, `[::1]` or 127.0.0.0/8. */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
