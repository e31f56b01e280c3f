// `npm start`: the broker as a process, configured by the environment.
import { main } from './runtime/main.ts';

await main();
