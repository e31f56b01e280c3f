// The contract of the store: the keys that the deployment signs with.
import { expect, test } from 'vitest';
import { anEntry, aSigningKey, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function signingKeys(at: Opened): void {
  test('signing keys are added, changed in state and deleted in one commit, the newest first, each purpose apart', async () => {
    const elsewhere = aSigningKey({ purpose: 'webhook' });
    const [first, second, third] = [0, 1, 2].map((n) => aSigningKey({ purpose: 'jwt', createdAt: NOW + n })) as [
      ReturnType<typeof aSigningKey>,
      ReturnType<typeof aSigningKey>,
      ReturnType<typeof aSigningKey>,
    ];
    expect(await at.store.swapSigningKeys('webhook', [], [elsewhere], [])).toBe(true);
    const audits = [anEntry(), anEntry()] as const;
    expect(await at.store.swapSigningKeys('jwt', [], [first, second], audits)).toBe(true);
    expect(await at.store.signingKeys('jwt')).toEqual([second, first]);
    expect(await Promise.all(audits.map((audit) => recorded(at.store, audit)))).toEqual([true, true]);

    // The secret may have been re-encrypted since it was read, and stays as it is.
    const read = [first, { ...second, privateKey: first.privateKey }];
    const changed = { ...read[1]!, signingSince: NOW + 5, retiredAt: NOW + 9 };
    expect(await at.store.swapSigningKeys('jwt', read, [third, changed], [])).toBe(true);
    expect(await (await at.another()).signingKeys('jwt')).toEqual([
      third,
      { ...changed, privateKey: second.privateKey },
    ]);
    expect(await at.store.signingKeys('webhook')).toEqual([elsewhere]);
  });

  test('signing keys that another process has changed are not changed', async () => {
    const [mine, theirs, one] = [aSigningKey(), aSigningKey(), aSigningKey({ signingSince: null })];
    const other = await at.another();
    const audits = [anEntry(), anEntry()] as const;
    const swapped = await Promise.all([
      at.store.swapSigningKeys('webhook', [], [mine], [audits[0]]),
      other.swapSigningKeys('webhook', [], [theirs], [audits[1]]),
    ]);
    expect(swapped.toSorted()).toEqual([false, true]);
    expect(await Promise.all(audits.map((audit) => recorded(at.store, audit)))).toEqual(swapped);
    const stored = await at.store.signingKeys('webhook');
    expect(stored).toEqual([swapped[0] ? mine : theirs]);
    expect(await at.store.swapSigningKeys('webhook', [one], [], [])).toBe(false);
    expect(await at.store.swapSigningKeys('webhook', [...stored, one], [one], [])).toBe(false);
    const retired = stored.map((key) => ({ ...key, retiredAt: NOW }));
    expect(await at.store.swapSigningKeys('webhook', retired, [one], [])).toBe(false);
    expect(await at.store.signingKeys('webhook')).toEqual(stored);
  });
}
