// Run by the tests as a process of its own: on any input, opens the store, appends an audit entry, prints its id, and stays.
import { once } from 'node:events';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry } from '../builders.ts';

console.log('ready');
await once(process.stdin, 'data');
const store = await openSqlite(process.argv[2]!);
const entry = anEntry({ id: `evt_${process.pid}` });
await store.appendAudit([entry]);
console.log(entry.id);
