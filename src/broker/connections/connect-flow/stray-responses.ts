// Authorization responses that belong to no flow. An error in one may be all that an operator hears of a client that is set up
// wrongly; but anyone can send them, so they are looked up one at a time, and logged a few times a minute.
import { Refusal } from '../../../domain/errors.ts';
import { createLane } from '../../../domain/lane.ts';
import { AUDIT_FAILURE_WINDOW_MS } from '../../../domain/time-limits.ts';
import type { BrowserRequest, FlowParts } from './steps.ts';

/** Beyond, they are neither looked up nor counted. */
const LOOKUPS = { atOnce: 1, waiting: 20 };
/** Lines of the log in a minute. */
const MAX_LINES = 10;

/** Rejects with `StoreError`. */
export type NoteStray = (integration: string, response: URLSearchParams, request: BrowserRequest) => Promise<void>;

export function createStrayResponses({
  targets,
  telemetry,
  clock,
  log,
}: Pick<FlowParts, 'targets' | 'telemetry' | 'clock' | 'log'>): NoteStray {
  const lane = createLane(LOOKUPS);
  let lines = 0;
  let endsAt = Number.NEGATIVE_INFINITY;

  function mayLog(): boolean {
    const now = clock.monotonic();
    if (now >= endsAt) [lines, endsAt] = [0, now + AUDIT_FAILURE_WINDOW_MS];
    return ++lines <= MAX_LINES;
  }

  return async (integration, response, request) => {
    const error = response.get('error');
    if (error === null) return;
    const found = await lane.run(() => targets.find(integration));
    if (found === 'full' || found instanceof Refusal) return;
    telemetry.connect(integration, 'error_without_flow');
    if (!mayLog()) return;
    const code = error
      .toLowerCase()
      .replace(/[^a-z0-9_]+/g, '_')
      .slice(0, 64);
    log.warn(
      { integration, error: code, has_state: response.has('state'), request_id: request.requestId },
      'connect: the provider returned an error that belongs to no flow',
    );
  };
}
