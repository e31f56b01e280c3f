// The canary's webhook endpoint: with secrets of its own, and sent what happens during the run.
import { type CanaryContext, randomSecret } from './lifecycle.ts';
import { startWebhookReceiver, status } from './webhook-receiver.ts';

/** An endpoint that hears of one integration; what it answers is secret too. `sent`: all bodies that it has been sent. */
export async function listenToEvents({ recorder, secrets }: CanaryContext) {
  const receiver = await startWebhookReceiver();
  const [header, replaced, response] = [randomSecret(), randomSecret(), randomSecret()];
  secrets.add('header of an endpoint', header);
  secrets.add('header of an endpoint', replaced);
  secrets.add('response of an endpoint', response);
  receiver.answer('/events', status(200, {}, response));
  const settings = {
    url: `${receiver.url}/first`,
    integrations: ['acme'],
    headers: { authorization: `Bearer ${header}` },
  };
  const { body } = await recorder.ask('POST', '/v1/webhook-endpoints', { body: settings });
  const at = `/v1/webhook-endpoints/${body.id}`;
  await recorder.ask('POST', `${at}/rotate-secret`);
  const moved = { url: `${receiver.url}/events`, headers: { 'x-api-key': replaced } };
  await recorder.ask('PATCH', at, { body: moved });
  await recorder.ask('POST', '/v1/webhook-endpoints', { body: { ...settings, headers: { 'webhook-id': header } } });
  await recorder.ask('POST', `${at}/test`);
  return {
    async finish(): Promise<Buffer> {
      for (const path of ['/v1/webhook-endpoints', at, '/v1/deliveries', `/v1/deliveries?status=failing`])
        await recorder.ask('GET', path);
      await receiver.close();
      return Buffer.from(receiver.received.map(({ body: text }) => text).join('\n'));
    },
  };
}
