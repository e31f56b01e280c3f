// Run by the tests as a process of its own: appends batches of reads for ever, and prints how many of them are stored.
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry } from '../builders.ts';
import { storedReads } from '../stored-reads.ts';

const store = await openSqlite(process.argv[2]!);
for (let written = 1; ; written++) {
  const reads = Array.from({ length: 64 }, (_, n) => {
    const id = `evt_${process.pid}_${String(written).padStart(8, '0')}_${String(n).padStart(2, '0')}`;
    return anEntry({
      id,
      action: 'token.read',
      owner: `user:${n}`,
      connectionId: `con_${n}`,
      detail: null,
      changed: null,
    });
  });
  await store.appendAudit(storedReads(reads));
  console.log(written);
}
