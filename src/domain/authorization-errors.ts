// Error codes of authorization responses (RFC 6749 4.1.2.1).

/** Why a provider has not let someone in: they said no, it does not work just now, or it refuses. */
export function whyDenied(code: string): 'cancelled' | 'unavailable' | 'refused' {
  if (code === 'access_denied') return 'cancelled';
  return code === 'server_error' || code === 'temporarily_unavailable' ? 'unavailable' : 'refused';
}
