// What goes wrong between a broker and its vendors: whose fault it is, and that nothing is lost over it.
import { expect } from 'vitest';
import type { Json } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';
import { idOf } from './emulator/entries.ts';
import { credentialsOf, type Identity, wrongOf } from './emulator/identity.ts';
import type { Call } from './emulator/vendor.ts';
import type { VendorServer } from './emulator/vendor-server.ts';
import { adopt, adoptGrant, expectServed, look, moved, put, read, ripen, type Stand, tokenIn } from './lifecycle.ts';

/** The vendor turns a refresh away for now: nothing is lost. */
export async function losesNothingWhenBusy(stand: Stand, vendorServer: VendorServer): Promise<void> {
  const id = await adoptOrMint(stand, vendorServer);
  const before = await read(stand, vendorServer, id);
  ripen(stand, vendorServer);
  vendorServer.beBusy();
  expectProblem(await stand.broker.ask('POST', `/v1/connections/${id}/refresh`), 503, 'provider_unavailable');
  expect((await read(stand, vendorServer, id)).access, 'the token that is stored goes on being served').toBe(
    before.access,
  );
  expect(await look(stand, vendorServer, id)).toMatchObject({ status: 'active', reason: null });
  expect(vendorServer.complaints).toEqual([]);
}

/** The owner withdrew it at the vendor: whoever asks is told to connect again. */
export async function tellsOfDeadGrant(stand: Stand, vendorServer: VendorServer): Promise<void> {
  const id = await adoptOrMint(stand, vendorServer);
  await read(stand, vendorServer, id);
  ripen(stand, vendorServer);
  vendorServer.withdraw();
  const refused = expectProblem(
    await stand.broker.ask('POST', `/v1/connections/${id}/refresh`),
    409,
    'reauthorization_required',
  );
  // What an import brought may be told apart from what an owner consented to.
  const { reason } = refused;
  expect(vendorServer.row.flow === 'code' ? ['grant_revoked'] : ['grant_revoked', 'credentials_rejected']).toContain(
    reason,
  );
  expect(await look(stand, vendorServer, id)).toMatchObject({ status: 'needs_reauth', reason });
  // A look-up may have been tried with the token that died with it.
  expect(vendorServer.complaints.filter((told) => !told.includes(' opens nothing'))).toEqual([]);
}

/** What was given as the client's secret is wrong: nobody loses a connection over it. */
export async function blamesTheIntegration(stand: Stand, vendorServer: VendorServer): Promise<void> {
  const { broker } = stand;
  const id = await adoptOrMint(stand, vendorServer);
  const before = await read(stand, vendorServer, id);
  ripen(stand, vendorServer);
  expectOk(await put(stand, vendorServer, wrongOf(vendorServer.row, vendorServer.identity)));
  const refresh = () => broker.ask('POST', `/v1/connections/${id}/refresh`);
  expectProblem(await refresh(), 502, 'integration_misconfigured');
  expect(vendorServer.complaints.length, 'the vendor was asked, and said no').toBeGreaterThan(0);
  expect(await look(stand, vendorServer, id)).toMatchObject({ status: 'active', reason: null });
  // What was set right at the very moment of the failure counts as before it.
  stand.advance(0.001);
  expectOk(await put(stand, vendorServer, vendorServer.identity));
  vendorServer.forget();
  const after = tokenIn(vendorServer, expectOk(await refresh()));
  expect(after.access, 'a new token is served').not.toBe(before.access);
  expect(vendorServer.complaints).toEqual([]);
}

/** The client that an import brought is wrong: that connection asks for a better one, and for nothing else. */
export async function blamesTheImport(stand: Stand, vendorServer: VendorServer): Promise<void> {
  const { broker } = stand;
  const { row, identity } = vendorServer;
  if (row.flow !== 'minted') return;
  const imported = (whose: Identity, more: Json = {}) => {
    const params = { ...row.connection, ...row.imports };
    const body = {
      integration: idOf(vendorServer),
      params,
      credentials: credentialsOf(row.credentials, whose),
      ...more,
    };
    return broker.ask('POST', '/v1/connections', moved(vendorServer, body));
  };
  const owner = newOwner();
  const { id } = expectOk(await imported(wrongOf(row, identity), { owner }), 201);
  const refused = await broker.ask('GET', `/v1/connections/${id}/token`);
  expect(expectProblem(refused, 409, 'reauthorization_required')).toMatchObject({ reason: 'credentials_rejected' });
  expect(vendorServer.complaints.length, 'the vendor was asked, and said no').toBeGreaterThan(0);
  vendorServer.forget();
  expectOk(await imported(identity, { owner, connection_id: id }), 201);
  expectServed(vendorServer, await read(stand, vendorServer, String(id)));
  expect(vendorServer.complaints).toEqual([]);
}

const adoptOrMint = (stand: Stand, vendorServer: VendorServer): Promise<string> =>
  vendorServer.row.flow === 'code'
    ? adoptGrant(stand, vendorServer)
    : adopt(stand, vendorServer, credentialsOf(vendorServer.row.credentials, vendorServer.identity));

/** Whether the vendor documents how a dead grant is told, and there is something to refresh. */
export const hasDeadGrants = ({ row }: VendorServer): boolean =>
  row.flow === 'code' ? row.refresh !== undefined : row.flow === 'minted' && row.token?.troubles?.dead !== undefined;
export const isRenewed = ({ row }: VendorServer): boolean =>
  (row.flow === 'code' && row.refresh !== undefined) || (row.flow === 'minted' && row.token !== undefined);

/** Whose word the client's proof is at what makes new tokens; undefined: nobody proves anything there. */
export function clientAt({ row }: VendorServer): 'integration' | 'import' | undefined {
  const call: Partial<Call> | undefined =
    row.flow === 'code'
      ? row.refresh && { ...row.token, ...row.refresh }
      : row.flow === 'minted' && !(row.assertion && row.token?.client === undefined)
        ? row.token
        : undefined;
  if (!call) return undefined;
  const proves = [call.client ?? 'post'].flat().some((way) => way !== 'none' && way !== 'id_only');
  const names = Object.values(call.params ?? {}).includes('{client_secret}');
  if (!proves && !names) return undefined;
  return row.flow === 'minted' && row.client?.gives?.length === 0 ? 'import' : 'integration';
}
