#!/usr/bin/env node
// The command line, as a process: what it is given, and the code that it ends with.
import { processIo } from './cli/io.ts';
import { run } from './cli/run.ts';

const code = await run(process.argv.slice(2), processIo(process.env));
// What serves has not ended, and says itself when it fails.
if (code !== 0) process.exitCode = code;
