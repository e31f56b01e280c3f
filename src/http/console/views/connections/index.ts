// The views of connections.
import { Hono } from 'hono';
import type { ConsoleEnv } from '../../environment.ts';
import { type ConnectionActionParts, connectionActionRoutes } from './actions.ts';
import { type BulkRevokeParts, bulkRevokeView } from './bulk-revoke.ts';
import { type CapturesViewParts, capturesView } from './captures.ts';
import { type ConnectionViewParts, connectionView } from './connection.ts';
import { type ConnectionListParts, connectionListView } from './list.ts';
import { type RevokeJobParts, revokeJobView } from './revoke-job.ts';

export type ConnectionsParts = ConnectionListParts &
  ConnectionViewParts &
  ConnectionActionParts &
  CapturesViewParts &
  BulkRevokeParts &
  RevokeJobParts;

export const connectionsView = (parts: ConnectionsParts): Hono<ConsoleEnv> =>
  new Hono<ConsoleEnv>()
    .route('/', connectionListView(parts))
    .route('/', bulkRevokeView(parts))
    .route('/', revokeJobView(parts))
    .route('/', connectionView(parts))
    .route('/', connectionActionRoutes(parts))
    .route('/', capturesView(parts));
