// Spends a refresh token: one request, left open while it may still be answered, and a second one beside it where the
// provider grants a reuse window. Whichever answers with tokens is kept.
import { startDeadline } from '../../domain/deadline.ts';
import type { ProviderFault, ProviderResult, TokenResponse } from '../../ports/index.ts';

type Answer = ProviderResult<TokenResponse>;

export interface Spending {
  /** Sends the refresh token. */
  request(): Promise<Answer>;
  slowMs: number;
  /** Called once, when there is no answer with tokens after `slowMs`. */
  onSlow(): void;
  /** The second request follows the first after this long; undefined: there is none. */
  secondAfterMs: number | undefined;
  /** Asked just before the second request: whether this process may still send the token. */
  maySendAgain(): Promise<boolean>;
}

export interface Spent {
  answer: Answer;
  /**
   * The other request, unanswered. It still holds the refresh token that was spent: if the provider reads it after the new one has
   * been spent as well, it takes that for reuse.
   */
  other?: Promise<Answer | undefined>;
  /** The other one was sent after the one that is answered: it may bring a refresh token that was issued later. */
  isOtherLater?: boolean;
}

/**
 * Resolves with the first answer that has tokens; without one, when all requests have ended, with what they say together.
 * Rejects as `request` does.
 */
export async function spend({ request, slowMs, onSlow, secondAfterMs, maySendAgain }: Spending): Promise<Spent> {
  const stopSlow = startDeadline(slowMs, onSlow);
  let stopSecond: (() => void) | undefined;
  try {
    if (secondAfterMs === undefined) return { answer: await request() };
    const { promise: secondIsDue, resolve } = Promise.withResolvers<'due'>();
    stopSecond = startDeadline(secondAfterMs, () => resolve('due'));
    let isFirstOpen = true;
    const first = request().finally(() => {
      isFirstOpen = false;
    });
    const early = await Promise.race([first, secondIsDue]);
    if (early !== 'due') return { answer: early };
    const second = maySendAgain().then(
      (may) => (may && isFirstOpen ? request() : undefined),
      () => undefined,
    );
    const granted = [
      tokensOf(first).then((answer): Spent => ({ answer, other: second, isOtherLater: true })),
      tokensOf(second).then((answer): Spent => ({ answer, other: first })),
    ];
    return await Promise.any(granted).catch(async () => ({ answer: together(await first, await second) }));
  } finally {
    stopSlow();
    stopSecond?.();
  }
}

/** Rejects without tokens. */
async function tokensOf(request: Promise<Answer | undefined>): Promise<Answer> {
  const answer = await request;
  if (!answer?.ok) throw new Error('no tokens');
  return answer;
}

/** A refusal of the grant counts more than what the other request met; if that one may have spent the token, it stays unknown. */
function together(first: Answer, second: Answer | undefined): Answer {
  if (first.ok || !second || second.ok) return second?.ok ? second : first;
  const faults = [second.fault, first.fault];
  const fault = faults.find(isFinal) ?? second.fault;
  return { ok: false, fault: { ...fault, outcomeUnknown: faults.some((one) => one.outcomeUnknown) } };
}

const isFinal = ({ kind }: ProviderFault): boolean => kind === 'grant_dead' || kind === 'identity_changed';
