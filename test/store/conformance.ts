// What every store has to pass: the contract of `Store` in `src/ports.ts`, outcome by outcome.
import { afterEach, beforeEach, describe } from 'vitest';
import type { Store } from '../../src/ports.ts';
import { auditLog } from './conformance/audit.ts';
import { callers } from './conformance/callers.ts';
import { connections } from './conformance/connections.ts';
import { declared } from './conformance/declared.ts';
import { integrations } from './conformance/integrations.ts';
import { news } from './conformance/news.ts';
import { pace } from './conformance/pace.ts';
import { reading } from './conformance/reading.ts';
import { refreshing } from './conformance/refreshing.ts';
import { revocations } from './conformance/revocations.ts';
import { sealedTexts } from './conformance/sealed.ts';
import { sessions } from './conformance/sessions.ts';
import { upkeep } from './conformance/upkeep.ts';

export interface Opened {
  /** On an empty database. */
  store: Store;
  /** One more on the same database, as another replica has it. */
  another(): Promise<Store>;
}

export function conformance(name: string, open: () => Promise<Opened>): void {
  describe(`the ${name} store`, () => {
    const stores: Store[] = [];
    let opened: Opened;
    const keep = (store: Store) => {
      stores.push(store);
      return store;
    };
    beforeEach(async () => {
      opened = await open();
      keep(opened.store);
    });
    afterEach(async () => {
      await Promise.all(stores.splice(0).map((store) => store.close()));
    });

    const subject: Opened = {
      get store() {
        return opened.store;
      },
      another: async () => keep(await opened.another()),
    };
    describe('integrations', () => integrations(subject));
    describe('callers', () => callers(subject));
    describe('what is declared', () => declared(subject));
    describe('sessions and flows', () => sessions(subject));
    describe('connections', () => connections(subject));
    describe('reading', () => reading(subject));
    describe('refreshing', () => refreshing(subject));
    describe('pace', () => pace(subject));
    describe('revocations', () => revocations(subject));
    describe('audit', () => auditLog(subject));
    describe('sealed texts', () => sealedTexts(subject));
    describe('upkeep', () => upkeep(subject));
    describe('news', () => news(subject));
  });
}
