// `status`: the state of a running broker and of its integrations.
import type { Command } from 'commander';
import { brokerFor, globalsOf, type Json, listOf, objectOf } from './broker.ts';
import { example } from './example.ts';
import { explanationOf } from './explanation.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  INTEGRATION: (i) => i.id,
  PROVIDER: (i) => i.provider,
  CIRCUIT: (i) => i.circuit_breaker,
  ACTIVE: (i) => objectOf(i, 'connections').active,
  'NEEDS REAUTH': (i) => objectOf(i, 'connections').needs_reauth,
  'ON HOLD': (i) => objectOf(i, 'connections').on_hold,
  DUE: (i) => i.refreshes_due,
  FAILING: (i) => objectOf(i, 'connections').failing,
};

export function statusCommand(program: Command, io: Io): void {
  const status = program
    .command('status')
    .description('show the health of the broker, its integrations and circuit breakers; fails if it is degraded');
  example(status, 'valetkey status', 'valetkey status --json').action(async (_, command: Command) => {
    const print = printer(io, globalsOf(command).json);
    const answer = await brokerFor(io, command).ask('GET', '/v1/status');
    if (print.json) print.answer(answer, '');
    else {
      io.note(summary(answer).join('; '));
      const integrations = listOf(answer, 'integrations');
      await print.list(COLUMNS, integrations);
      for (const one of integrations) {
        const why = explanationOf(one);
        if (why !== null) io.note(`${one.id}: ${why}`);
      }
    }
    if (answer.status !== 'ok') throw new Failure('');
  });
}

function summary(answer: Json): string[] {
  const { status, version, store, rescued_responses, change_feed_lag } = answer;
  const { dropped } = objectOf(answer, 'audit');
  const open = listOf(answer, 'integrations').filter(({ circuit_breaker }) => circuit_breaker !== 'closed');
  return [
    `${status}: version ${version}`,
    `store ${store}`,
    ...(open.length > 0 ? [`circuit breakers not closed: ${open.map(({ id }) => id).join(', ')}`] : []),
    ...(rescued_responses === 0 ? [] : [`${rescued_responses} token responses in the rescue file`]),
    ...(dropped === 0 ? [] : [`${dropped} audit entries dropped`]),
    `changes of other replicas read ${change_feed_lag} seconds ago`,
  ];
}
