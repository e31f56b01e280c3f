// `npm start`: the broker as a process, configured by the environment. `--force`: as of `valetkey serve`.
import { main } from './runtime/main.ts';

void main({ force: process.argv.includes('--force') });
