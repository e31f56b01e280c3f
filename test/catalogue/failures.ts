// Failures between a broker and its vendors: how each is classified, and that no grant is lost.
import { expect } from 'vitest';
import type { Json } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';
import { idOf } from './emulator/entries.ts';
import { type ClientIdentity, credentialsOf, wrongIdentity } from './emulator/identity.ts';
import type { EndpointSpec } from './emulator/vendor.ts';
import type { VendorServer } from './emulator/vendor-server.ts';
import {
  advancePastMinAge,
  expectServed,
  getConnection,
  importConnection,
  importGrant,
  putIntegration,
  readToken,
  type TestContext,
  toEmulator,
  tokenIn,
} from './lifecycle.ts';

/** The vendor rate-limits a refresh: the stored token is still served. */
export async function survivesRateLimit(context: TestContext, vendorServer: VendorServer): Promise<void> {
  const id = await importConnectionOf(context, vendorServer);
  const before = await readToken(context, vendorServer, id);
  advancePastMinAge(context, vendorServer);
  vendorServer.rateLimitNext();
  expectProblem(await context.broker.ask('POST', `/v1/connections/${id}/refresh`), 503, 'provider_unavailable');
  expect((await readToken(context, vendorServer, id)).access, 'the token that is stored goes on being served').toBe(
    before.access,
  );
  expect(await getConnection(context, vendorServer, id)).toMatchObject({ status: 'active', reason: null });
  expect(vendorServer.violations).toEqual([]);
}

/** The owner withdrew the grant at the vendor: callers get reauthorization_required. */
export async function reportsDeadGrant(context: TestContext, vendorServer: VendorServer): Promise<void> {
  const id = await importConnectionOf(context, vendorServer);
  await readToken(context, vendorServer, id);
  advancePastMinAge(context, vendorServer);
  vendorServer.withdrawGrants();
  const refused = expectProblem(
    await context.broker.ask('POST', `/v1/connections/${id}/refresh`),
    409,
    'reauthorization_required',
  );
  // Imported credentials may have a reason of their own.
  const { reason } = refused;
  expect(vendorServer.row.flow === 'code' ? ['grant_revoked'] : ['grant_revoked', 'credentials_rejected']).toContain(
    reason,
  );
  expect(await getConnection(context, vendorServer, id)).toMatchObject({ status: 'needs_reauth', reason });
  // A look-up may have used the dead grant's access token.
  expect(vendorServer.violations.filter((violation) => !violation.includes(' opens nothing'))).toEqual([]);
}

/** The client's secret is wrong: the integration is misconfigured, and its connections stay active. */
export async function reportsMisconfiguredClient(context: TestContext, vendorServer: VendorServer): Promise<void> {
  const { broker } = context;
  const id = await importConnectionOf(context, vendorServer);
  const before = await readToken(context, vendorServer, id);
  advancePastMinAge(context, vendorServer);
  expectOk(await putIntegration(context, vendorServer, wrongIdentity(vendorServer.row, vendorServer.identity)));
  const refresh = () => broker.ask('POST', `/v1/connections/${id}/refresh`);
  expectProblem(await refresh(), 502, 'integration_misconfigured');
  expect(vendorServer.violations.length, 'the vendor was asked, and said no').toBeGreaterThan(0);
  expect(await getConnection(context, vendorServer, id)).toMatchObject({ status: 'active', reason: null });
  // A fix within the same millisecond would count as before the failure.
  context.advance(0.001);
  expectOk(await putIntegration(context, vendorServer, vendorServer.identity));
  vendorServer.clearLog();
  const after = tokenIn(vendorServer, expectOk(await refresh()));
  expect(after.access, 'a new token is served').not.toBe(before.access);
  expect(vendorServer.violations).toEqual([]);
}

/** An imported client is wrong: only that connection needs a new import. */
export async function reportsRefusedImport(context: TestContext, vendorServer: VendorServer): Promise<void> {
  const { broker } = context;
  const { row, identity } = vendorServer;
  if (row.flow !== 'minted') return;
  const imported = (secrets: ClientIdentity, more: Json = {}) => {
    const params = { ...row.connection, ...row.importParams };
    const body = {
      integration: idOf(vendorServer),
      params,
      credentials: credentialsOf(row.credentials, secrets),
      ...more,
    };
    return broker.ask('POST', '/v1/connections', toEmulator(vendorServer, body));
  };
  const owner = newOwner();
  const { id } = expectOk(await imported(wrongIdentity(row, identity), { owner }), 201);
  const refused = await broker.ask('GET', `/v1/connections/${id}/token`);
  expect(expectProblem(refused, 409, 'reauthorization_required')).toMatchObject({ reason: 'credentials_rejected' });
  expect(vendorServer.violations.length, 'the vendor was asked, and said no').toBeGreaterThan(0);
  vendorServer.clearLog();
  expectOk(await imported(identity, { owner, connection_id: id }), 201);
  expectServed(vendorServer, await readToken(context, vendorServer, String(id)));
  expect(vendorServer.violations).toEqual([]);
}

const importConnectionOf = (context: TestContext, vendorServer: VendorServer): Promise<string> =>
  vendorServer.row.flow === 'code'
    ? importGrant(context, vendorServer)
    : importConnection(context, vendorServer, credentialsOf(vendorServer.row.credentials, vendorServer.identity));

/** Whether the vendor documents the error of a dead grant, and tokens are refreshable. */
export const hasDeadGrants = ({ row }: VendorServer): boolean =>
  row.flow === 'code' ? row.refresh !== undefined : row.flow === 'minted' && row.token?.errors?.deadGrant !== undefined;
export const isRefreshable = ({ row }: VendorServer): boolean =>
  (row.flow === 'code' && row.refresh !== undefined) || (row.flow === 'minted' && row.token !== undefined);

/** Who has the client secret for refreshes; undefined: there is no client authentication. */
export function clientSecretOwner({ row }: VendorServer): 'integration' | 'import' | undefined {
  const call: Partial<EndpointSpec> | undefined =
    row.flow === 'code'
      ? row.refresh && { ...row.token, ...row.refresh }
      : row.flow === 'minted' && !(row.assertion && row.token?.clientAuth === undefined)
        ? row.token
        : undefined;
  if (!call) return undefined;
  const proves = [call.clientAuth ?? 'post'].flat().some((way) => way !== 'none' && way !== 'id_only');
  const names = Object.values(call.params ?? {}).includes('{client_secret}');
  if (!proves && !names) return undefined;
  return row.flow === 'minted' && row.client?.configuredAs?.length === 0 ? 'import' : 'integration';
}
