// Reasons of connections, in a few words.
import type { HoldReason, ReauthReason } from '../../../../domain/errors.ts';

/** As choices of a filter, and beside a status. */
export const REASONS: Readonly<Record<ReauthReason | HoldReason, string>> = {
  grant_revoked: 'grant revoked at the provider',
  grant_expired: 'grant expired',
  deauthorized: 'app uninstalled or withdrawn',
  identity_changed: 'another account',
  authorization_server_changed: 'another authorization server',
  refresh_outcome_unknown: 'answer to a refresh lost',
  credentials_rejected: 'credentials rejected',
  not_refreshable: 'no refresh token',
  account_disabled: 'account suspended',
};
