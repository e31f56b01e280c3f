// How integrations receive webhooks and signals, set together with them: planned here, and stored in the integration's commit.
import { Refusal } from '../../../domain/errors.ts';
import type { Integration } from '../../../domain/integration.ts';
import type { SignalSettings } from '../../../domain/signal-receivers.ts';
import type { WebhookSetup } from '../../../domain/webhook-settings.ts';
import type { ReceiverChange } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { IntegrationAdmin, IntegrationSetup } from '../../integrations/index.ts';
import type { SignalAdmin } from '../signals/signal-admin.ts';
import type { Recorder, WebhookAdmin, WebhookView } from './webhook-admin.ts';

/** Undefined: it stays as it is. Null: it receives no webhooks any more; signals as the catalogue has it. */
export interface ReceivingSetup {
  webhook?: WebhookSetup | null | undefined;
  signals?: SignalSettings | null | undefined;
}

export interface PlannedReceiving {
  /** To be stored in the commit of the integration. */
  changes: ReceiverChange[];
  /** What would change, by name. */
  differences: string[];
  /** Of its webhooks, once that is stored; undefined: as it is. */
  webhook: WebhookView | null | undefined;
}

export interface ReceivingAdmin {
  /** What is wrong with a set-up for this provider; undefined: nothing. */
  issues(provider: string, wanted: ReceivingSetup): Refusal | undefined;
  /** To be stored `inTurn`. Rejects with `StoreError`. */
  plan(
    integration: Pick<Integration, 'id' | 'provider'>,
    wanted: ReceivingSetup,
    record: Recorder,
  ): Promise<PlannedReceiving>;
  /** No other change of how integrations receive begins meanwhile in this process. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** Creates or replaces an integration, and how it receives, in one commit. Rejects with `StoreError`. */
  put(
    call: Call,
    id: string,
    setup: IntegrationSetup,
    wanted: ReceivingSetup,
  ): Promise<{ integration: Integration; created: boolean; webhook: WebhookView | null } | Refusal>;
}

interface Parts {
  integrations: Pick<IntegrationAdmin, 'put'>;
  webhooks: WebhookAdmin;
  signals: SignalAdmin;
  access: Pick<Access, 'record'>;
}

export function createReceivingAdmin({ integrations, webhooks, signals, access }: Parts): ReceivingAdmin {
  const issues: ReceivingAdmin['issues'] = (provider, { webhook, signals: set }) =>
    (webhook ? webhooks.issues(provider, webhook) : undefined) ?? (set === undefined ? undefined : signals.issues(set));

  const plan: ReceivingAdmin['plan'] = async (integration, { webhook, signals: set }, record) => {
    const hears = webhook === undefined ? undefined : await webhooks.plan(integration, webhook, record);
    const told = set === undefined ? undefined : await signals.plan(integration.id, set, record);
    return {
      changes: [hears?.change, told?.change].filter((change) => change !== undefined),
      differences: [...(hears?.differences ?? []), ...(told?.differences ?? [])],
      webhook: hears?.view,
    };
  };

  return {
    issues,
    plan,
    inTurn: webhooks.inTurn,
    async put(call, id, setup, wanted) {
      const faulty = issues(setup.provider, wanted);
      if (faulty) return faulty;
      async function save() {
        const planned = await plan({ id, provider: setup.provider }, wanted, (action, subject) =>
          access.record(call, action, subject),
        );
        const saved = await integrations.put(call, id, setup, planned.changes);
        if (saved instanceof Refusal) return saved;
        const { webhook = await webhooks.view(saved.integration) } = planned;
        return { ...saved, webhook };
      }
      return wanted.webhook === undefined && wanted.signals === undefined ? save() : webhooks.inTurn(save);
    },
  };
}
