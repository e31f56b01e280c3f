// What is decided on what is stored must hold for what it replaces: where that has changed meanwhile, it is decided once more.

/** Each attempt but the last lost to another one that was stored. */
const MAX_ATTEMPTS = 5;

/** `changed`: others were quicker each time. */
export async function decidedAgain<T>(attempt: () => Promise<T | 'changed'>): Promise<T | 'changed'> {
  for (let attempts = 1; ; attempts++) {
    const outcome = await attempt();
    if (outcome !== 'changed' || attempts === MAX_ATTEMPTS) return outcome;
  }
}
