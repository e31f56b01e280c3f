// CallerAdmin and their keys.
import { createRoute, z } from '@hono/zod-openapi';
import {
  CallerCreated,
  CallerPost,
  CallerPut,
  CallerView,
  EXAMPLE,
  KeyCreated,
  KeyPost,
  PageQuery,
  pageOf,
  Whoami,
} from '../../api/index.ts';
import type { CallerAdmin } from '../../broker/callers/index.ts';
import { Refusal } from '../../domain/errors.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged, sliceOf } from '../paging.ts';
import { presentCaller, presentKey, presentWhoami } from '../presenters/callers.ts';
import { timeOrNull } from '../presenters/times.ts';
import { callerSetupOf } from '../setups.ts';

const params = z.object({ id: idOf('caller', EXAMPLE.caller) });
const common = { tags: ['callers'], security: SECURITY };

const create = createRoute({
  ...common,
  operationId: 'createCaller',
  method: 'post',
  path: '/v1/callers',
  summary: 'Create a caller',
  description:
    'Creates a caller and its first key, which only this response shows. A caller with `workloads` gets no key.',
  request: { body: body(CallerPost) },
  responses: { 201: json(CallerCreated, 'The new caller, with its key'), ...problems('forbidden') },
});

const list = createRoute({
  ...common,
  operationId: 'listCallers',
  method: 'get',
  path: '/v1/callers',
  summary: 'List callers',
  request: { query: PageQuery },
  responses: { 200: json(pageOf(CallerView), 'A page of callers, oldest first'), ...problems('forbidden') },
});

const get = createRoute({
  ...common,
  operationId: 'getCaller',
  method: 'get',
  path: '/v1/callers/{id}',
  summary: 'Get a caller',
  description: 'With its keys, without their secrets.',
  request: { params },
  responses: { 200: json(CallerView, 'The caller'), ...problems('forbidden', 'not_found') },
});

const put = createRoute({
  ...common,
  operationId: 'replaceCaller',
  method: 'put',
  path: '/v1/callers/{id}',
  summary: 'Replace a caller',
  description: 'Replaces its name, grants, workloads and rate limit. Takes effect at once. Its keys stay.',
  request: { params, body: body(CallerPut) },
  responses: { 200: json(CallerView, 'The caller'), ...problems('forbidden', 'not_found') },
});

const whoami = createRoute({
  ...common,
  operationId: 'getCurrentCaller',
  method: 'get',
  path: '/v1/whoami',
  summary: 'Get the current caller',
  description: 'The caller that sends the request, what it may do, and how it was authenticated.',
  responses: { 200: json(Whoami, 'The caller'), ...problems() },
});

const remove = createRoute({
  ...common,
  operationId: 'deleteCaller',
  method: 'delete',
  path: '/v1/callers/{id}',
  summary: 'Delete a caller',
  description: 'Deletes the caller and its keys. Takes effect at once.',
  request: { params },
  responses: { 204: { description: 'Deleted' }, ...problems('forbidden', 'not_found') },
});

const addKey = createRoute({
  ...common,
  operationId: 'createCallerKey',
  method: 'post',
  path: '/v1/callers/{id}/keys',
  summary: 'Create a caller key',
  description: 'Adds a key to a caller, for rotation. Only this response shows it.',
  request: { params, body: { ...body(KeyPost), required: false } },
  responses: { 201: json(KeyCreated, 'The new key'), ...problems('forbidden', 'not_found') },
});

const removeKey = createRoute({
  ...common,
  operationId: 'deleteCallerKey',
  method: 'delete',
  path: '/v1/callers/{id}/keys/{key_id}',
  summary: 'Delete a caller key',
  description: 'Takes effect at once.',
  request: { params: params.extend({ key_id: idOf('key', EXAMPLE.key) }) },
  responses: { 204: { description: 'Deleted' }, ...problems('forbidden', 'not_found') },
});

const msOrNull = (text: string | undefined) => (text === undefined ? null : Date.parse(text));

export function callerRoutes({ callers }: { callers: CallerAdmin }) {
  return router()
    .openapi(create, async (c) => {
      const { key_expires_at, ...put } = c.req.valid('json');
      const setup = { ...callerSetupOf(put), keyExpiresAt: msOrNull(key_expires_at) };
      return respond(c, await callers.create(c.get('call'), setup), ({ caller, minted }) => {
        const { keys: _, warnings: __, ...view } = presentCaller({ caller, keys: [], warnings: [] });
        const key = { key: minted?.secret ?? null, key_id: minted?.key.id ?? null };
        return c.json({ ...view, ...key, key_expires_at: timeOrNull(minted?.key.expiresAt ?? null) }, 201);
      });
    })
    .openapi(get, async (c) => {
      const caller = await callers.get(c.get('call'), c.req.valid('param').id);
      return respond(c, caller, (found) => c.json(presentCaller(found), 200));
    })
    .openapi(put, async (c) => {
      const setup = callerSetupOf(c.req.valid('json'));
      const caller = await callers.put(c.get('call'), c.req.valid('param').id, setup);
      return respond(c, caller, (saved) => c.json(presentCaller(saved), 200));
    })
    .openapi(whoami, async (c) => c.json(presentWhoami(await callers.whoami(c.get('call'))), 200))
    .openapi(list, async (c) => {
      const all = await callers.list(c.get('call'));
      const found =
        all instanceof Refusal
          ? all
          : paged(c, c.req.valid('query'), (request) => sliceOf(all.map(presentCaller), request));
      return respond(c, found, (some) =>
        c.json(
          page(c, some, (caller) => caller),
          200,
        ),
      );
    })
    .openapi(remove, async (c) => {
      const removed = await callers.remove(c.get('call'), c.req.valid('param').id);
      return respond(c, removed, () => c.body(null, 204));
    })
    .openapi(addKey, async (c) => {
      const expiresAt = msOrNull(c.req.valid('json').expires_at);
      const added = await callers.addKey(c.get('call'), c.req.valid('param').id, expiresAt);
      return respond(c, added, ({ key, secret }) => {
        const { id, prefix, created_at, expires_at } = presentKey(key);
        return c.json({ id, key: secret, prefix, created_at, expires_at }, 201);
      });
    })
    .openapi(removeKey, async (c) => {
      const { id, key_id } = c.req.valid('param');
      return respond(c, await callers.removeKey(c.get('call'), id, key_id), () => c.body(null, 204));
    });
}
