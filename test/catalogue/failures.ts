// What goes wrong between a broker and its vendors: whose fault it is, and that nothing is lost over it.
import { expect } from 'vitest';
import type { Json } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';
import type { Booth } from './emulator/vendor-server.ts';
import { idOf } from './emulator/entries.ts';
import { adopt, adoptGrant, expectServed, look, moved, put, read, ripen, type Stand, tokenIn } from './lifecycle.ts';
import { credentialsOf, type Identity, wrongOf } from './emulator/identity.ts';
import type { Call } from './emulator/vendor.ts';

/** The vendor turns a refresh away for now: nothing is lost. */
export async function losesNothingWhenBusy(stand: Stand, booth: Booth): Promise<void> {
  const id = await adoptOrMint(stand, booth);
  const before = await read(stand, booth, id);
  ripen(stand, booth);
  booth.beBusy();
  expectProblem(await stand.broker.ask('POST', `/v1/connections/${id}/refresh`), 503, 'provider_unavailable');
  expect((await read(stand, booth, id)).access, 'the token that is stored goes on being served').toBe(before.access);
  expect(await look(stand, booth, id)).toMatchObject({ status: 'active', reason: null });
  expect(booth.complaints).toEqual([]);
}

/** The owner withdrew it at the vendor: whoever asks is told to connect again. */
export async function tellsOfDeadGrant(stand: Stand, booth: Booth): Promise<void> {
  const id = await adoptOrMint(stand, booth);
  await read(stand, booth, id);
  ripen(stand, booth);
  booth.withdraw();
  const refused = expectProblem(
    await stand.broker.ask('POST', `/v1/connections/${id}/refresh`),
    409,
    'reauthorization_required',
  );
  // What an import brought may be told apart from what an owner consented to.
  const { reason } = refused;
  expect(booth.row.flow === 'code' ? ['grant_revoked'] : ['grant_revoked', 'credentials_rejected']).toContain(reason);
  expect(await look(stand, booth, id)).toMatchObject({ status: 'needs_reauth', reason });
  // A look-up may have been tried with the token that died with it.
  expect(booth.complaints.filter((told) => !told.includes(' opens nothing'))).toEqual([]);
}

/** What was given as the client's secret is wrong: nobody loses a connection over it. */
export async function blamesTheIntegration(stand: Stand, booth: Booth): Promise<void> {
  const { broker } = stand;
  const id = await adoptOrMint(stand, booth);
  const before = await read(stand, booth, id);
  ripen(stand, booth);
  expectOk(await put(stand, booth, wrongOf(booth.row, booth.identity)));
  const refresh = () => broker.ask('POST', `/v1/connections/${id}/refresh`);
  expectProblem(await refresh(), 502, 'integration_misconfigured');
  expect(booth.complaints.length, 'the vendor was asked, and said no').toBeGreaterThan(0);
  expect(await look(stand, booth, id)).toMatchObject({ status: 'active', reason: null });
  // What was set right at the very moment of the failure counts as before it.
  stand.advance(0.001);
  expectOk(await put(stand, booth, booth.identity));
  booth.forget();
  const after = tokenIn(booth, expectOk(await refresh()));
  expect(after.access, 'a new token is served').not.toBe(before.access);
  expect(booth.complaints).toEqual([]);
}

/** The client that an import brought is wrong: that connection asks for a better one, and for nothing else. */
export async function blamesTheImport(stand: Stand, booth: Booth): Promise<void> {
  const { broker } = stand;
  const { row, identity } = booth;
  if (row.flow !== 'minted') return;
  const imported = (whose: Identity, more: Json = {}) => {
    const params = { ...row.connection, ...row.imports };
    const body = { integration: idOf(booth), params, credentials: credentialsOf(row.credentials, whose), ...more };
    return broker.ask('POST', '/v1/connections', moved(booth, body));
  };
  const owner = newOwner();
  const { id } = expectOk(await imported(wrongOf(row, identity), { owner }), 201);
  const refused = await broker.ask('GET', `/v1/connections/${id}/token`);
  expect(expectProblem(refused, 409, 'reauthorization_required')).toMatchObject({ reason: 'credentials_rejected' });
  expect(booth.complaints.length, 'the vendor was asked, and said no').toBeGreaterThan(0);
  booth.forget();
  expectOk(await imported(identity, { owner, connection_id: id }), 201);
  expectServed(booth, await read(stand, booth, String(id)));
  expect(booth.complaints).toEqual([]);
}

const adoptOrMint = (stand: Stand, booth: Booth): Promise<string> =>
  booth.row.flow === 'code'
    ? adoptGrant(stand, booth)
    : adopt(stand, booth, credentialsOf(booth.row.credentials, booth.identity));

/** Whether the vendor documents how a dead grant is told, and there is something to refresh. */
export const hasDeadGrants = ({ row }: Booth): boolean =>
  row.flow === 'code' ? row.refresh !== undefined : row.flow === 'minted' && row.token?.troubles?.dead !== undefined;
export const isRenewed = ({ row }: Booth): boolean =>
  (row.flow === 'code' && row.refresh !== undefined) || (row.flow === 'minted' && row.token !== undefined);

/** Whose word the client's proof is at what makes new tokens; undefined: nobody proves anything there. */
export function clientAt({ row }: Booth): 'integration' | 'import' | undefined {
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
