// How many sessions a caller may have, and how many its sessions leave it.
import { expect, test } from 'vitest';
import { createAgentSessions } from '../../../src/broker/agents/agent-sessions.ts';
import type { AgentSession } from '../../../src/domain/agent-session.ts';
import type { Principal } from '../../../src/domain/caller.ts';
import type { SessionMaker } from '../../../src/ports/index.ts';
import { anAgentSession, NOW } from '../../stores/builders.ts';

test('sessions do not take the last places of their caller, however many of them make others', async () => {
  const makers: SessionMaker[] = [];
  const store = {
    integration: async () => ({}),
    addAgentSession: async (_: AgentSession, maker: SessionMaker) => {
      makers.push(maker);
      return 'added';
    },
  };
  const access = { record: () => ({}) };
  const telemetry = { agentSessionMade: () => undefined };
  const clock = { now: () => NOW };
  const agentSessions = createAgentSessions({ store, access, telemetry, clock, publicUrl: 'https://x' } as never);
  const request = { owner: 'user:1', integrations: ['slack'], actions: ['proxy' as const], purpose: 'a test' };
  const principal: Principal = {
    caller: {
      id: 'clr_1',
      name: 'an app',
      permissions: [{ actions: ['proxy', 'sessions'], integrations: ['*'], owners: ['*'] }],
    },
    credential: { kind: 'key', id: 'key_1', expiresAt: null },
    rateLimit: null,
  };
  for (const session of [undefined, anAgentSession({ owner: 'user:1', integrations: ['slack'] })])
    await agentSessions.create({ principal: { ...principal, session }, address: null, requestId: 'r' }, request);
  const [ofCaller, ofSession] = makers as [SessionMaker, SessionMaker];
  // Two levels of as many as one session may have below it.
  expect(ofSession.mostLive).toBeGreaterThan(ofSession.mostBelow * (ofSession.mostBelow + 1));
  expect(ofCaller.mostLive - ofSession.mostLive).toBeGreaterThanOrEqual(1_000);
});
