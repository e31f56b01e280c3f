// Examples in the help of a command.
import type { Command } from 'commander';

const examples = new WeakMap<Command, readonly string[]>();

/** `lines`: commands as they are typed. */
export function example(command: Command, ...lines: string[]): Command {
  examples.set(command, lines);
  return command.addHelpText(
    'after',
    `\nExample${lines.length > 1 ? 's' : ''}:\n${lines.map((line) => `  ${line}`).join('\n')}`,
  );
}

export const examplesOf = (command: Command): readonly string[] => examples.get(command) ?? [];
