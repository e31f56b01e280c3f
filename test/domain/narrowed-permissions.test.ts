// Permissions that are narrowed: over generated ones, the intersection allows what both allow, and nothing else.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type AgentSession,
  SESSION_ACTIONS,
  type SessionLimits,
  statusOfSession,
} from '../../src/domain/agent-session.ts';
import {
  type ACTIONS,
  allows,
  type Extent,
  missingPermission,
  type Permission,
  permissionsFor,
  touches,
} from '../../src/domain/caller.ts';
import { coversWanted, intersection, narrowed, permissionOfSession } from '../../src/domain/narrowed-permissions.ts';

/** Few, so that patterns meet. */
const name = fc.constantFrom('a', 'b', 'aa');
const action = fc.constantFrom<(typeof ACTIONS)[number]>('token', 'proxy', 'admin');
const pattern = fc.oneof(
  name,
  name.map((text) => `${text}*`),
  fc.constant('*'),
);
const patterns = fc.array(pattern, { minLength: 1, maxLength: 3 });
const METHODS = ['GET', 'HEAD', 'POST', 'DELETE'] as const;
const methods = fc.array(fc.constantFrom(...METHODS, '*'), { minLength: 1, maxLength: 3 });
const path = name.map((text) => `/${text}`);
const paths = fc.array(
  fc.oneof(
    path,
    path.map((text) => `${text}*`),
    fc.constant('*'),
  ),
  { minLength: 1, maxLength: 3 },
);
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 2 });

const permission: fc.Arbitrary<Permission> = fc.record({
  actions: fc.array(fc.oneof(action, fc.constant('*' as const)), { minLength: 1, maxLength: 2 }),
  integrations: patterns,
  owners: patterns,
  scopes: optional(patterns),
  max_min_ttl: optional(fc.integer({ min: 0, max: 100 })),
  methods: optional(methods),
  paths: optional(paths),
});
const permissions = fc.array(permission, { maxLength: 4 });
const orNull = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null, freq: 2 });
const limits: fc.Arbitrary<SessionLimits> = fc.record({
  owner: name,
  integrations: fc.array(name, { minLength: 1, maxLength: 2 }),
  actions: fc.array(fc.constantFrom(...SESSION_ACTIONS), { minLength: 1, maxLength: 3 }),
  scopes: orNull(patterns),
  methods: orNull(methods),
  paths: orNull(paths),
  tools: orNull(patterns),
});

const request = fc.record({
  action,
  integration: name,
  owner: name,
  extent: fc.record({
    scopes: optional(fc.array(name, { maxLength: 2 })),
    minTtlMs: optional(fc.integer({ min: 0, max: 100_000 })),
    proxied: optional(
      fc.record({
        methods: fc.array(fc.constantFrom(...METHODS), { minLength: 1, maxLength: 2 }),
        path,
        tool: optional(name),
      }),
    ),
  }) as fc.Arbitrary<Extent>,
});
type Request = { action: (typeof ACTIONS)[number]; integration: string; owner: string; extent: Extent };
const may = (list: readonly Permission[], { action, integration, owner, extent }: Request) =>
  allows(list, action, integration, owner, extent);

const RUNS = { numRuns: 3_000 };

test('narrowed permissions: what is left allows exactly what the caller and the session both allow', () => {
  let allowed = 0;
  fc.assert(
    fc.property(permissions, limits, request, fc.boolean(), (own, session, anyRequest, isOfSession) => {
      const { owner, integrations } = session;
      // By chance alone, the session has few of the owners and integrations that are asked for.
      const asked = isOfSession ? { ...anyRequest, owner, integration: integrations[0]! } : anyRequest;
      const left = narrowed(own, permissionOfSession(session));
      const both = may(own, asked) && may([permissionOfSession(session)], asked);
      allowed += Number(both);
      expect(may(left, asked)).toBe(both);
      // In no other way can more be seen: what is not there for the caller is not there for the session.
      if (touches(left, asked.integration, asked.owner))
        expect(touches(own, asked.integration, asked.owner) && asked.owner === session.owner).toBe(true);
      // What limits of refreshes are counted by.
      for (const { index } of permissionsFor(left, asked.action, asked.integration, asked.owner))
        expect(permissionsFor(own, asked.action, asked.integration, asked.owner).map((one) => one.index)).toContain(
          index,
        );
      expect(missingPermission(left, asked.action, asked.integration, asked.owner, asked.extent) === undefined).toBe(
        both,
      );
    }),
    RUNS,
  );
  // The generators meet often enough for the property to say something.
  expect(allowed).toBeGreaterThan(20);
});

test('narrowed permissions: a session below a session reaches no more than that one, however its caller changes later', () => {
  let allowed = 0;
  fc.assert(
    fc.property(permissions, permissions, limits, limits, request, fc.boolean(), (then, later, outer, ...given) => {
      const [wanted, anyRequest, isOfSame] = given;
      const { owner, integrations } = outer;
      // By chance alone, both sessions and the request hardly ever have these in common.
      const inner = isOfSame ? { ...wanted, owner, integrations } : wanted;
      const asked = isOfSame ? { ...anyRequest, owner, integration: integrations[0]! } : anyRequest;
      const both = intersection(permissionOfSession(outer), permissionOfSession(inner));
      for (const own of [then, later]) {
        const left = narrowed(own, both);
        const reaches = may(left, asked);
        allowed += Number(reaches);
        expect(reaches).toBe(
          may(narrowed(narrowed(own, permissionOfSession(outer)), permissionOfSession(inner)), asked),
        );
        if (reaches) expect([may(own, asked), may([permissionOfSession(outer)], asked)]).toEqual([true, true]);
      }
    }),
    RUNS,
  );
  expect(allowed).toBeGreaterThan(20);
});

test('narrowed permissions: what is covered as a pattern covers all that the pattern matches', () => {
  fc.assert(
    fc.property(permissions, request, pattern, paths, (own, asked, scope, [wantedPath = '/a']) => {
      const { action, integration, owner } = asked;
      const [method] = asked.extent.proxied?.methods ?? [];
      if (!coversWanted(own, { action, integration, owner, scopes: [scope], method, path: wantedPath })) return;
      const value = (text: string) => text.replace(/\*$/, 'b');
      const proxied = method === undefined ? undefined : { methods: [method], path: value(wantedPath) };
      expect(allows(own, action, integration, owner, { scopes: [value(scope)], proxied })).toBe(true);
    }),
    RUNS,
  );
});

test('agent session: it is active until it ends, expires or is used up', () => {
  const session = { endedAt: null, expiresAt: 100, maxUses: 2, uses: 1 } as AgentSession;
  expect(statusOfSession(session, 99)).toBe('active');
  expect(statusOfSession(session, 100)).toBe('expired');
  expect(statusOfSession({ ...session, uses: 2 }, 99)).toBe('used_up');
  expect(statusOfSession({ ...session, endedAt: 5 }, 100)).toBe('ended');
});
