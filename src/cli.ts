#!/usr/bin/env node
// The command line as a process: its arguments and its exit code.
import { processIo } from './cli/io.ts';
import { run } from './cli/run.ts';

const code = await run(process.argv.slice(2), processIo(process.env));
// `serve` is still running, and sets the exit code itself when it fails.
if (code !== 0) process.exitCode = code;
