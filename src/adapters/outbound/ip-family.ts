// Whether a text is an IP address, as `isIP` of Node says. Node compiles a pattern of a thousand characters for IPv6 when it is first
// asked about a name, which takes as long as a tenth of an empty process: a name has no colon.
import { isIPv4, isIPv6 } from 'node:net';

/** 0: it is none. */
export const ipFamily = (text: string): 0 | 4 | 6 =>
  text.includes(':') ? (isIPv6(text) ? 6 : 0) : isIPv4(text) ? 4 : 0;
