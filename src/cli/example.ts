// An example under the help of a command.
import type { Command } from 'commander';

const examples = new WeakMap<Command, readonly string[]>();

/** Each line as it would be typed. */
export function example(command: Command, ...lines: string[]): Command {
  examples.set(command, lines);
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

export const examplesOf = (command: Command): readonly string[] => examples.get(command) ?? [];
