// Why the broker cannot listen, in words for the operator.
import type { BindFailure } from '../http/listeners.ts';

const SETTINGS = { public: 'VALETKEY_PORT', internal: 'VALETKEY_INTERNAL_PORT' } as const;

/** An issue for each port, by the name of its setting; one for both where the host is the reason. */
export const bindIssues = (host: string, failures: readonly BindFailure[]): string[] => [
  ...new Set(failures.map((failure) => issueOf(host, failure))),
];

function issueOf(host: string, { which, port, code }: BindFailure): string {
  const setting = SETTINGS[which];
  switch (code) {
    case 'EADDRINUSE':
      return `${setting}: ${port} is in use: stop what listens there, or choose another port`;
    case 'EACCES':
    case 'EPERM':
      return `${setting}: this user may not listen on ${port}: choose a port above 1023`;
    case 'EADDRNOTAVAIL':
      return `VALETKEY_HOST: ${host} is not an address of this machine`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_NONAME':
    case 'EAI_FAIL':
      return `VALETKEY_HOST: ${host} is not a name that can be resolved`;
    case 'EAFNOSUPPORT':
      return `VALETKEY_HOST: this machine has no addresses of the kind of ${host}`;
    case 'ENOTSUP':
    case 'ENOSYS':
      return 'VALETKEY_WORKERS: on this system processes cannot share a port (SO_REUSEPORT): run one, or replicas on ports of their own';
    default:
      return `VALETKEY_HOST: it is not possible to listen at ${host}, port ${port} (${code})`;
  }
}
