// `portal`: a link to the page of an owner's connections.
import type { Command } from 'commander';
import { brokerFor, globalsOf } from './broker.ts';
import { example } from './example.ts';
import type { Io } from './io.ts';
import { given, idsOf } from './options.ts';
import { printer } from './output.ts';

interface Options {
  returnUrl: string;
  integrations?: string[];
  displayOwner?: string;
}

export function portalCommand(program: Command, io: Io): void {
  const portal = program
    .command('portal')
    .description('create a link with which an owner sees, renews and ends their own connections in a browser')
    .argument('<owner>', 'whose connections')
    .requiredOption('--return-url <url>', 'where the page leads back to; on an allowed origin')
    .option('--integrations <ids>', 'show only connections of these, with commas between', idsOf)
    .option('--display-owner <name>', 'on whose behalf, as the page says it');
  example(portal, 'valetkey portal user_42 --return-url https://app.example.com/settings').action(
    async (owner: string, { returnUrl, integrations, displayOwner }: Options, command: Command) => {
      const body = { owner, ...given({ return_url: returnUrl, integrations, display_owner: displayOwner }) };
      await printer(io, globalsOf(command).json).one(
        await brokerFor(io, command).ask('POST', '/v1/portal-sessions', body),
      );
    },
  );
}
