// Callers and their keys.
import { createRoute, z } from '@hono/zod-openapi';
import { CallerCreated, CallerPost, CallerView, EXAMPLE, KeyCreated, KeyPost, PageQuery, pageOf } from '../../api.ts';
import type { Callers } from '../../broker/callers.ts';
import { granted } from '../problem.ts';
import { body, idOf, json, page, pageRequest, problems, router, SECURITY, sliceOf } from '../spec.ts';
import { callerView, keyView, time } from '../views.ts';

const params = z.object({ id: idOf('caller', EXAMPLE.caller) });
const common = { tags: ['callers'], security: SECURITY };

const create = createRoute({
  ...common,
  operationId: 'createCaller',
  method: 'post',
  path: '/v1/callers',
  summary: 'Admits an internal service',
  request: { body: body(CallerPost) },
  responses: { 201: json(CallerCreated, 'The caller and its key'), ...problems('forbidden') },
});

const list = createRoute({
  ...common,
  operationId: 'listCallers',
  method: 'get',
  path: '/v1/callers',
  summary: 'All callers',
  request: { query: PageQuery },
  responses: { 200: json(pageOf(CallerView), 'A page of callers, oldest first'), ...problems('forbidden') },
});

const remove = createRoute({
  ...common,
  operationId: 'deleteCaller',
  method: 'delete',
  path: '/v1/callers/{id}',
  summary: 'Deletes a caller and its keys, at once',
  request: { params },
  responses: { 204: { description: 'It is gone' }, ...problems('forbidden', 'not_found') },
});

const addKey = createRoute({
  ...common,
  operationId: 'createCallerKey',
  method: 'post',
  path: '/v1/callers/{id}/keys',
  summary: 'A second key, for rotation',
  request: { params, body: { ...body(KeyPost), required: false } },
  responses: { 201: json(KeyCreated, 'The key; it is shown here, once'), ...problems('forbidden', 'not_found') },
});

const removeKey = createRoute({
  ...common,
  operationId: 'deleteCallerKey',
  method: 'delete',
  path: '/v1/callers/{id}/keys/{key_id}',
  summary: 'Deletes a key, at once',
  request: { params: params.extend({ key_id: idOf('key', EXAMPLE.key) }) },
  responses: { 204: { description: 'It is gone' }, ...problems('forbidden', 'not_found') },
});

export function callerRoutes({ callers }: { callers: Callers }) {
  return router()
    .openapi(create, async (c) => {
      const { caller, key, secret } = granted(await callers.create(c.get('call'), c.req.valid('json')));
      const { id, name, grants } = caller;
      return c.json({ id, name, key: secret, key_id: key.id, grants, created_at: time(caller.createdAt) }, 201);
    })
    .openapi(list, async (c) => {
      const all = granted(await callers.list(c.get('call'))).map(callerView);
      return c.json(
        page(sliceOf(all, pageRequest(c.req.valid('query'))), (caller) => caller),
        200,
      );
    })
    .openapi(remove, async (c) => {
      granted(await callers.remove(c.get('call'), c.req.valid('param').id));
      return c.body(null, 204);
    })
    .openapi(addKey, async (c) => {
      const { expires_at } = c.req.valid('json');
      const until = expires_at === undefined ? null : Date.parse(expires_at);
      const { key, secret } = granted(await callers.addKey(c.get('call'), c.req.valid('param').id, until));
      const { id, prefix, created_at, expires_at: expires } = keyView(key);
      return c.json({ id, key: secret, prefix, created_at, expires_at: expires }, 201);
    })
    .openapi(removeKey, async (c) => {
      const { id, key_id } = c.req.valid('param');
      granted(await callers.removeKey(c.get('call'), id, key_id));
      return c.body(null, 204);
    });
}
