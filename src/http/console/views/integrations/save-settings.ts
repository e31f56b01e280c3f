// Saves what the form of an integration asks for, through the same use case as the API; its refusals go beside the fields.
import type { Call } from '../../../../broker/audit/index.ts';
import type { ReceivingAdmin, WebhookView } from '../../../../broker/webhooks/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Integration } from '../../../../domain/integration.ts';
import { setupOf, webhookSetupOf } from '../../../setups.ts';
import { type Issues, issuesOf } from '../../parts/fields.ts';
import { type Chosen, fieldNames, type PutRequest } from './settings-input.ts';

export interface SavedIntegration {
  integration: Integration;
  /** With its hook, if one was made now. */
  webhook: WebhookView | null;
}

/** A refusal that names no member is returned as it is. `ofVersion`: what was shown; 0: there was none. */
export async function saveSettings(
  receiving: Pick<ReceivingAdmin, 'put'>,
  call: Call,
  id: string,
  asked: PutRequest,
  chosen: Chosen,
  ofVersion: number,
): Promise<SavedIntegration | { issues: Issues } | Refusal> {
  const webhook = webhookSetupOf(asked);
  const saved =
    webhook instanceof Refusal
      ? webhook
      : await receiving.put(call, id, { ...setupOf(asked), ofVersion }, { webhook, signals: asked.signals });
  if (!(saved instanceof Refusal)) return saved;
  const { fault } = saved;
  if (fault.code !== 'invalid_request' || !fault.issues?.length) return saved;
  return { issues: issuesOf(fault.issues, fieldNames(chosen)) };
}
