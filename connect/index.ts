// Opens the link of a connect session in a pop-up, and waits until the session has ended. One file, for browsers.

/** How a session has ended, or that it has not. */
export interface ConnectOutcome {
  status: 'completed' | 'failed' | 'cancelled' | 'expired';
  connect_session_id?: string;
  /** Why it failed. */
  error?: string;
}

export interface ConnectOptions {
  /**
   * Asks your own backend for the session (`GET /v1/connect-sessions/{id}` of the broker, which a browser has no key for). A
   * pop-up that looks closed says nothing: pages of providers sever the two windows, and the owner may be about to come back.
   */
  poll: () => Promise<{ status: string; error?: string | undefined }>;
  /** Milliseconds between two polls. Default: 2,000. */
  every?: number;
  /** Called once if the pop-up looks closed while the session is open: offer to cancel it (in your backend), and no more. */
  closed?: () => void;
  /** Stops waiting; the session stays as it is. */
  signal?: AbortSignal;
}

/** Counts calls: they share one window, which shows the session of the last one. */
let last = 0;

const OVER = ['completed', 'failed', 'cancelled', 'expired'];

/**
 * To be called in a click, with the `url` of a session that was made with `display: "popup"`. Where the pop-up is blocked, this
 * window goes there instead, and comes back to `return_url`. Another call takes the pop-up over: this one then goes on to poll,
 * until its session has ended. Rejects only by `signal`.
 *
 * @example
 * button.onclick = async () => {
 *   const { status } = await connect(url, { poll: async () => (await fetch('/my/connect-session')).json() });
 * };
 */
export function connect(url: string, { poll, every = 2_000, closed, signal }: ConnectOptions): Promise<ConnectOutcome> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  const call = ++last;
  const popup = window.open(url, 'valetkey-connect', 'popup,width=500,height=760');
  if (!popup) {
    location.assign(url);
    return new Promise(() => {});
  }
  return new Promise((resolve, reject) => {
    let told = false;
    const end = (settle: () => void) => {
      clearInterval(timer);
      removeEventListener('message', heard);
      signal?.removeEventListener('abort', aborted);
      settle();
    };
    const heard = ({ origin, data }: MessageEvent) => {
      if (call !== last || origin !== new URL(url).origin || data?.type !== 'valetkey') return;
      const { type: _, ...outcome } = data;
      end(() => resolve(outcome));
    };
    const aborted = () => end(() => reject(signal?.reason));
    const timer = setInterval(async () => {
      try {
        const session = await poll();
        if (OVER.includes(session.status)) {
          if (call === last) popup.close();
          const { status, error } = session as ConnectOutcome;
          return end(() => resolve(error ? { status, error } : { status }));
        }
      } catch {
        // A poll that fails is one that says nothing: the next one may.
      }
      if (call === last && popup.closed && !told) {
        told = true;
        closed?.();
      }
    }, every);
    addEventListener('message', heard);
    signal?.addEventListener('abort', aborted);
  });
}
