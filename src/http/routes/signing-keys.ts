// The keys of the JWTs that the broker signs, for admins.
import { createRoute, type z } from '@hono/zod-openapi';
import { RotateSigningKeysPost, SigningKeyList } from '../../api/index.ts';
import type { SigningKeyAdmin, SigningKeyView } from '../../broker/signing/index.ts';
import { respond } from '../errors/respond.ts';
import { body, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { time, timeOrNull } from '../presenters/times.ts';

const common = { tags: ['signing keys'], security: SECURITY };

const list = createRoute({
  ...common,
  operationId: 'listSigningKeys',
  method: 'get',
  path: '/v1/signing-keys',
  summary: 'List signing keys',
  description: 'The keys of the JWTs that the broker signs, with those that were retired within 30 days.',
  responses: { 200: json(SigningKeyList, 'The keys'), ...problems('forbidden') },
});

const rotate = createRoute({
  ...common,
  operationId: 'rotateSigningKeys',
  method: 'post',
  path: '/v1/signing-keys/rotate',
  summary: 'Rotate the signing keys',
  description:
    'Publishes a new key, which signs after 15 minutes, when every verifier has had time to fetch it. While one waits for that, nothing is done. With `withdraw`, a key is deleted at once instead.',
  request: { body: body(RotateSigningKeysPost) },
  responses: { 200: json(SigningKeyList, 'The keys, as they are now'), ...problems('forbidden', 'not_found') },
});

const present = (keys: readonly SigningKeyView[]): z.infer<typeof SigningKeyList> => ({
  data: keys.map(({ id, algorithm, state, isPublished, createdAt, signsAt, retiredAt, publishedUntil }) => ({
    id,
    algorithm: algorithm as z.infer<typeof SigningKeyList>['data'][number]['algorithm'],
    state,
    published: isPublished,
    created_at: time(createdAt),
    signs_at: time(signsAt),
    retired_at: timeOrNull(retiredAt),
    published_until: timeOrNull(publishedUntil),
  })),
  next_cursor: null,
});

export function signingKeyRoutes({ signing: { admin } }: { signing: { admin: SigningKeyAdmin } }) {
  return router()
    .openapi(list, async (c) => respond(c, await admin.list(c.get('call')), (keys) => c.json(present(keys), 200)))
    .openapi(rotate, async (c) => {
      const keys = await admin.rotate(c.get('call'), c.req.valid('json'));
      return respond(c, keys, (some) => c.json(present(some), 200));
    });
}
