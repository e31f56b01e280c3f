// `signing-keys`: the keys that the deployment signs with. On the machine of the database and the keys only.
import type { Command } from 'commander';
import { globalsOf } from './broker.ts';
import { example } from './example.ts';
import type { Io } from './io.ts';
import { printer } from './output.ts';

export function signingKeyCommands(program: Command, io: Io): void {
  const keys = program
    .command('signing-keys')
    .description('the Ed25519 keys that sign deliveries (v1a, /.well-known/webhook-keys): rotate');
  const rotate = keys
    .command('rotate')
    .description(
      'sign with a new key, and print its id; the one before signs as well for a day, and is published for a week',
    );
  example(rotate, 'valetkey signing-keys rotate').action(async (_, command: Command) => {
    const main = await import('../runtime/main.ts');
    const kid = await main.rotateSigningKeys();
    if (kid !== undefined) printer(io, globalsOf(command).json).answer({ kid }, kid);
  });
}
