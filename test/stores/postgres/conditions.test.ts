// The PostgreSQL store where the database gives less than PostgreSQL does: what it promises must not hang on that. The parts of
// the conformance suite that could; all of them in the long run.
import { afterAll, describe } from 'vitest';
import { openPostgres } from '../../../src/stores/postgres/store.ts';
import { isLong } from '../../support/long.ts';
import { type Pooler, startPooler } from '../../support/pooler.ts';
import { asked, clear, withoutFunctions } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { conformance, type Part } from '../conformance/index.ts';

interface Condition {
  /** Changes the database at this URL. */
  impose: (url: string) => Promise<unknown>;
  /** Statements that are refused as not supported. */
  unsupported?: RegExp;
  parts: readonly Part[];
}

/** Each session takes a hundred numbers at once, as in databases whose sequences are far away. */
const cacheSequences = async (url: string) => {
  const names = await asked(url, "select sequencename as name from pg_sequences where schemaname = 'public'");
  for (const { name } of names) await asked(url, `alter sequence ${name} cache 100`);
};
const setByDefault = (setting: string) => (url: string) =>
  asked(url, `alter database ${new URL(url).pathname.slice(1)} set ${setting}`);
const CONDITIONS: Record<string, Condition> = {
  'whose sequences are cached by sessions': {
    impose: cacheSequences,
    parts: ['audit seals', 'change feed', 'events of changes'],
  },
  'that is serializable by default': {
    impose: setByDefault("default_transaction_isolation = 'serializable'"),
    parts: ['counters', 'events of changes'],
  },
  'without LISTEN and NOTIFY': {
    impose: async () => undefined,
    unsupported: /^(?:listen|notify)\b|pg_notify/,
    parts: ['change feed'],
  },
  'without advisory locks': {
    impose: (url) => asked(url, withoutFunctions('^pg_(try_)?advisory_')),
    parts: ['signing keys', 'webhook endpoints'],
  },
};

describe.each(Object.entries(CONDITIONS))('PostgreSQL %s', (name, { impose, unsupported, parts }) => {
  let started: Promise<{ direct: string; pooler: Pooler | undefined }> | undefined;
  async function start() {
    const direct = await createMigratedDatabase();
    await impose(direct);
    // Many servers: what is to be shown is not that a pooler shares them.
    return { direct, pooler: unsupported && (await startPooler(direct, { servers: 40, unsupported })) };
  }
  const running = () => {
    started ??= start();
    return started;
  };
  afterAll(async () => (await started)?.pooler?.stop());
  async function open() {
    const { direct, pooler } = await running();
    return openPostgres(pooler ? `${pooler.urlFor(direct)}?prepare=false` : direct);
  }
  conformance(
    `PostgreSQL (${name})`,
    { open, clear: async () => clear((await running()).direct) },
    isLong ? undefined : parts,
  );
});
