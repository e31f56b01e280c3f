// Sessions below sessions, as they are requested: over generated callers and requests, none that is accepted may do what its
// maker may not, on any of the three levels, and what is accepted works.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type AgentSessionRequest,
  limitsOf,
  missingFor,
  requestIssues,
} from '../../../src/broker/agents/session-request.ts';
import { MAX_SESSION_DEPTH, SESSION_ACTIONS, type SessionLimits } from '../../../src/domain/agent-session.ts';
import { type Action, allows, type Extent, type Permission, type Principal } from '../../../src/domain/caller.ts';
import { coversWanted, narrowed, permissionOfSession } from '../../../src/domain/narrowed-permissions.ts';
import { anAgentSession } from '../../stores/builders.ts';
import { isLong } from '../../support/long.ts';

/** Few, so that requests and permissions meet. */
const name = fc.constantFrom('a', 'aa', 'b');
const pattern = fc.oneof(
  name,
  name.map((text) => `${text}*`),
  fc.constant('*'),
);
const patterns = fc.array(pattern, { minLength: 1, maxLength: 3 });
const METHODS = ['GET', 'HEAD', 'POST'] as const;
const path = name.map((text) => `/${text}`);
const paths = fc.array(
  fc.oneof(
    path,
    path.map((text) => `${text}*`),
  ),
  { minLength: 1, maxLength: 2 },
);
const methods = fc.array(fc.constantFrom(...METHODS), { minLength: 1, maxLength: 2 });
const sometimes = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 2 });

const permission: fc.Arbitrary<Permission> = fc.record(
  {
    actions: fc.oneof(
      fc.constant<Permission['actions']>(['*']),
      fc.constant<Permission['actions']>([...SESSION_ACTIONS]),
      fc.subarray<Permission['actions'][number]>([...SESSION_ACTIONS], { minLength: 1 }),
    ),
    integrations: patterns,
    owners: patterns,
    scopes: sometimes(patterns),
    methods: sometimes(fc.array(fc.constantFrom(...METHODS, '*'), { minLength: 1, maxLength: 2 })),
    paths: sometimes(paths),
    tools: sometimes(patterns),
  },
  { requiredKeys: ['actions', 'integrations', 'owners'] },
);
const permissions = fc.array(permission, { minLength: 1, maxLength: 3 });
const request = fc.record({
  owner: name,
  integrations: fc.array(name, { minLength: 1, maxLength: 2 }),
  actions: fc
    .subarray([...SESSION_ACTIONS], { minLength: 1 })
    .map((some) => [...new Set([...some, 'sessions' as const])]),
  scopes: sometimes(patterns),
  methods: sometimes(methods),
  paths: sometimes(paths),
  tools: sometimes(patterns),
  purpose: fc.constant('fuzz'),
});
const EXTENT = ['scopes', 'methods', 'paths', 'tools'] as const;
/** Mostly of one owner, and asking for much of what the session above has: some chains are accepted to their end. */
const chain = fc
  .array(fc.tuple(request, fc.oneof(fc.constant(true), fc.constant(true), fc.boolean()), fc.subarray([...EXTENT])), {
    minLength: 1,
    maxLength: MAX_SESSION_DEPTH + 1,
    size: 'max',
  })
  .map(([first, ...below]) => {
    const all = [first![0]];
    const { owner, integrations, actions } = all[0]!;
    for (const [one, isWithin, same] of below) {
      const kept = Object.fromEntries(same.map((name) => [name, all.at(-1)![name]]));
      all.push(isWithin ? { ...one, ...kept, owner, integrations: integrations.slice(0, 1), actions } : one);
    }
    return all;
  });
const probe = fc.record({
  action: fc.constantFrom<Action>(...SESSION_ACTIONS, 'admin', 'connections:write'),
  integration: name,
  owner: name,
  extent: fc.record({
    scopes: sometimes(fc.array(name, { maxLength: 2 })),
    proxied: sometimes(
      fc.record({
        methods: fc.array(fc.constantFrom(...METHODS, 'DELETE'), { minLength: 1, maxLength: 2 }),
        path,
        tool: sometimes(name),
      }),
    ),
  }) as fc.Arbitrary<Extent>,
});
type Probe = { action: Action; integration: string; owner: string; extent: Extent };
const may = (list: readonly Permission[], { action, integration, owner, extent }: Probe) =>
  allows(list, action, integration, owner, extent);

/** As the cache makes it of the row of a session. */
function principalOf(own: readonly Permission[], limits: SessionLimits, level: number): Principal {
  const ancestors = Array.from({ length: level }, (_, i) => `ses_${i}`);
  const session = { ...anAgentSession({ ...limits, ancestors }), ...limits };
  return {
    caller: { id: 'clr_1', name: 'app', permissions: narrowed(own, permissionOfSession(session)) },
    credential: { kind: 'session', id: session.id, expiresAt: session.expiresAt },
    session,
    rateLimit: null,
  };
}

test('a session that is accepted may do no more than its maker, on each level, whatever its caller may later', () => {
  const reached = [0, 0, 0, 0];
  let served = 0;
  const property = fc.property(
    permissions,
    permissions,
    chain,
    fc.array(probe, { minLength: 10, maxLength: 10 }),
    (own, later, requests, probes) => {
      let maker: Principal = {
        caller: { id: 'clr_1', name: 'app', permissions: own },
        credential: { kind: 'key', id: 'key_1', expiresAt: null },
        rateLimit: null,
      };
      const above: Permission[] = [];
      for (const [level, wanted] of requests.entries()) {
        if (missingFor(maker.caller.permissions, wanted)) return;
        const issues = requestIssues(wanted, maker, 'https://broker.example');
        if (level === MAX_SESSION_DEPTH) expect(issues.map(({ path: at }) => at)).toContain('actions');
        if (issues.length > 0) return;
        const limits = limitsOf(wanted, maker);
        const made = principalOf(own, limits, level);
        const asked = permissionOfSession({ ...limits, ...nulls(wanted) });
        above.push(asked);
        reached[level]!++;
        for (const one of probes) {
          const mayNow = may(made.caller.permissions, one);
          served += Number(mayNow);
          if (mayNow)
            expect([may(maker.caller.permissions, one), ...above.map((limit) => may([limit], one))]).not.toContain(
              false,
            );
          // Its caller has other permissions by now.
          if (may(narrowed(later, permissionOfSession(limits)), one))
            expect([may(later, one), ...above.map((limit) => may([limit], one))]).not.toContain(false);
        }
        // What was accepted works.
        for (const action of limits.actions.filter((each) => each === 'token' || each === 'connections:read'))
          for (const integration of limits.integrations)
            expect(may(made.caller.permissions, { action, integration, owner: limits.owner, extent: {} })).toBe(true);
        maker = made;
      }
    },
  );
  fc.assert(property, { numRuns: isLong ? 50_000 : 3_000 });
  // The generators meet often enough on each level.
  expect(Math.min(...reached.slice(0, MAX_SESSION_DEPTH)), String(reached)).toBeGreaterThan(20);
  expect(reached[MAX_SESSION_DEPTH]).toBe(0);
  expect(served).toBeGreaterThan(200);
});

test('what is missing is the first method, path and tool together that no single permission covers', () => {
  let refused = 0;
  const property = fc.property(permissions, request, (own, wanted) => {
    const { owner, scopes, methods = [undefined], paths = [undefined], tools = [undefined] } = wanted;
    const missing = missingFor(own, { ...wanted, actions: ['proxy'] });
    if (missing && (missing.action !== 'proxy' || missing.scopes)) return;
    const ask = wanted.integrations.flatMap((integration) =>
      methods.flatMap((method) =>
        paths.flatMap((at) =>
          tools.map((tool) => ({ action: 'proxy' as const, integration, owner, method, path: at, tool })),
        ),
      ),
    );
    const uncovered = ask.find((one) => !coversWanted(own, { ...one, scopes }));
    const isPlain = missing && !coversWanted(own, { action: 'proxy', integration: missing.integration, owner });
    if (isPlain) return;
    refused += Number(missing !== undefined);
    expect(missing).toEqual(uncovered === undefined ? undefined : JSON.parse(JSON.stringify(uncovered)));
  });
  fc.assert(property, { numRuns: isLong ? 50_000 : 3_000 });
  expect(refused).toBeGreaterThan(20);
});

test('the largest request is compared with each permission value by value, and not by all that they can be together', () => {
  let read = 0;
  const counted = (one: Permission): Permission => ({
    ...one,
    get paths() {
      read++;
      return one.paths;
    },
  });
  const own = Array.from({ length: 10 }, (_, i) =>
    counted({
      ...{ actions: ['sessions', 'proxy'], integrations: ['*'], owners: ['*'], methods: ['*'], tools: ['*'] },
      ...{ scopes: ['s*'], paths: i === 9 ? ['/a/*', '/p*'] : [`/b${i}/*`, '/p1*'] },
    }),
  );
  const many = (count: number, of: string) => Array.from({ length: count }, (_, i) => `${of}${i}`);
  const largest = {
    ...{ owner: 'user_1', integrations: many(20, 'i'), actions: ['proxy' as const], purpose: 'all at once' },
    ...{ scopes: many(50, 's'), methods: many(20, 'M'), paths: many(50, '/p'), tools: many(50, 't') },
  };
  expect(missingFor(own, largest)).toBeUndefined();
  expect(read).toBeLessThanOrEqual(20 * 50 * own.length);
  expect(missingFor(own, { ...largest, paths: [...many(49, '/p'), '/q'] })).toMatchObject({
    ...{ integration: 'i0', method: 'M0', path: '/q', tool: 't0' },
  });
});

/** What this request alone asks for, without what its maker adds. */
const nulls = (wanted: AgentSessionRequest) => ({
  scopes: wanted.scopes ?? null,
  methods: wanted.methods ?? null,
  paths: wanted.paths ?? null,
  tools: wanted.tools ?? null,
});
