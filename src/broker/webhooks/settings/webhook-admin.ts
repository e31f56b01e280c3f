// What admins set: secrets and hook of an integration, and the window in which a handshake may bring a key.

import type { AuditEntry } from '../../../domain/audit.ts';
import type { AuditAction } from '../../../domain/audit-actions.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { Integration } from '../../../domain/integration.ts';
import type { Provider } from '../../../domain/provider.ts';
import { HANDSHAKE_WINDOW_MAX_MS } from '../../../domain/time-limits.ts';
import {
  changedSettings,
  NO_WEBHOOK_SETTINGS,
  type WebhookSettings,
  type WebhookSetup,
  webhookSchemes,
  webhookSetupIssues,
} from '../../../domain/webhook-settings.ts';
import type { Clock, ReceiverChange, Store } from '../../../ports/index.ts';
import type { Access, Call, Subject } from '../../audit/index.ts';
import type { Cache } from '../../cache/index.ts';
import { digest, newSecret } from '../../secrets/index.ts';
import type { ReceiverSettings } from './receiver-settings.ts';

/** What is shown of the settings. */
export interface WebhookView {
  /** Without a hook, but for the one that was just made, which is shown this once. */
  url: string;
  schemes: string[];
  /** How many. */
  secretCount: number;
  hookSet: boolean;
  scheme: WebhookSettings['scheme'];
  handshakeUntil: number | null;
}

export type Recorder = (action: AuditAction, subject: Subject) => AuditEntry;

export interface PlannedWebhook {
  /** Undefined: nothing would change. */
  change: ReceiverChange | undefined;
  /** What would, by name. */
  differences: string[];
  /** Once it is stored. */
  view: WebhookView | null;
}

export interface WebhookAdmin {
  /** What is wrong with a set-up for this provider; undefined: nothing. */
  issues(provider: string, setup: WebhookSetup): Refusal | undefined;
  /** Changes of this process, one after the other: each begins with what is stored. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** What a set-up would store; it is stored by the caller, `inTurn`. Null: it receives none any more. */
  plan(
    integration: Pick<Integration, 'id' | 'provider'>,
    setup: WebhookSetup | null,
    record: Recorder,
  ): Promise<PlannedWebhook>;
  /** Null: it receives none, or what is stored does not decrypt. Rejects with `StoreError`. */
  view(integration: Integration): Promise<WebhookView | null>;
  /** Opens the window in which a handshake may bring a key, once; 0 minutes: closes it. */
  openHandshake(call: Call, integration: string, minutes: number): Promise<{ until: number | null } | Refusal>;
  /** Adds the key that a handshake brought, and closes the window. False: it is closed already. */
  learn(integration: string, secret: string): Promise<boolean>;
}

/** More are of no use, and each is tried. */
export const MAX_SECRETS = 10;

interface Parts {
  store: Pick<Store, 'putReceiverSettings' | 'integration'>;
  settings: ReceiverSettings;
  catalogue: ReadonlyMap<string, Provider>;
  access: Pick<Access, 'denied' | 'record' | 'recordSystem'>;
  /** Called after every change. */
  changed: (integration: string) => void;
  untilApplied: Cache['untilApplied'];
  clock: Pick<Clock, 'now'>;
  publicUrl: string;
}

export function createWebhookAdmin(parts: Parts): WebhookAdmin {
  const { store, settings, catalogue, access, changed, untilApplied, clock, publicUrl } = parts;
  /** Changes of this process, one after the other: each begins with what is stored. */
  let last: Promise<unknown> = Promise.resolve();
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  }

  async function write(
    id: string,
    after: WebhookSettings | null,
    audit: Parameters<Store['putReceiverSettings']>[1],
  ): Promise<void> {
    const webhook = after && settings.encrypted(id, after);
    await store.putReceiverSettings({ integration: id, webhook, updatedAt: clock.now() }, audit);
    changed(id);
    // Others must not go on to accept what was taken away.
    await untilApplied();
  }

  const readable = (found: WebhookSettings | 'unreadable' | undefined): WebhookSettings =>
    found === undefined || found === 'unreadable' ? NO_WEBHOOK_SETTINGS : found;

  /** But for a hook that has to be made. */
  const settled = (before: WebhookSettings, setup: WebhookSetup): WebhookSettings => ({
    ...before,
    ...(setup.secrets && { secrets: [...new Set(setup.secrets)] }),
    ...(setup.scheme !== undefined && { scheme: setup.scheme }),
    ...(setup.hook === false && { hookDigest: null }),
  });

  const present = (
    { id, provider }: Pick<Integration, 'id' | 'provider'>,
    now: WebhookSettings,
    hook?: string,
  ): WebhookView => ({
    url: hookUrl(id, hook),
    schemes: now.scheme ? [now.scheme.scheme] : webhookSchemes(catalogue.get(provider)?.webhooks ?? {}),
    secretCount: now.secrets.length,
    hookSet: now.hookDigest !== null,
    scheme: now.scheme,
    handshakeUntil: now.handshakeUntil !== null && now.handshakeUntil > clock.now() ? now.handshakeUntil : null,
  });
  const hookUrl = (id: string, hook?: string) => `${publicUrl}/webhooks/${id}${hook === undefined ? '' : `/${hook}`}`;

  async function plan(
    integration: Pick<Integration, 'id' | 'provider'>,
    setup: WebhookSetup | null,
    record: Recorder,
  ): Promise<PlannedWebhook> {
    const { id } = integration;
    const stored = await settings.stored(id);
    const changing = (after: WebhookSettings | null, changed: string[]): ReceiverChange => ({
      settings: { integration: id, webhook: after && settings.encrypted(id, after), updatedAt: clock.now() },
      audit: record('integration.webhook_set', { integration: id, changed }),
    });
    if (setup === null) {
      const differences = stored === undefined ? [] : ['webhook'];
      return { change: stored === undefined ? undefined : changing(null, differences), differences, view: null };
    }
    const before = readable(stored);
    const hook = setup.hook === true && before.hookDigest === null ? newSecret() : undefined;
    const after = { ...settled(before, setup), ...(hook !== undefined && { hookDigest: digest(hook) }) };
    const names = changedSettings(before, after);
    const isNew = stored === undefined || stored === 'unreadable';
    const changed = isNew && names.length === 0 ? ['webhook'] : names;
    return {
      change: changed.length === 0 ? undefined : changing(after, changed),
      differences: stored === undefined ? ['webhook'] : changed,
      view: present(integration, after, hook),
    };
  }

  return {
    issues(provider, setup) {
      const issues = webhookSetupIssues(catalogue.get(provider)?.webhooks ?? {}, setup);
      if (issues.length === 0) return undefined;
      return refuse({ code: 'invalid_request', detail: 'the settings of its webhooks are not valid', issues });
    },
    inTurn,
    plan,
    async view(integration) {
      const found = await settings.of(integration.id);
      return found === undefined || found === 'unreadable' ? null : present(integration, found);
    },
    async openHandshake(call, id, minutes) {
      const denied = access.denied(call, 'admin', id, '*');
      if (denied) return denied;
      const integration = await store.integration(id);
      if (!integration) return refuse({ code: 'not_found', what: 'integration', id });
      const faulty = this.issues(integration.provider, {});
      if (faulty) return faulty;
      return inTurn(async () => {
        const handshakeUntil = minutes > 0 ? clock.now() + Math.min(minutes * 60_000, HANDSHAKE_WINDOW_MAX_MS) : null;
        const detail = minutes > 0 ? `${minutes} minutes` : 'closed';
        const by = access.record(call, 'integration.webhook_handshake', { integration: id, detail });
        await write(id, { ...readable(await settings.stored(id)), handshakeUntil }, by);
        return { until: handshakeUntil };
      });
    },
    learn: (id, secret) =>
      inTurn(async () => {
        const before = readable(await settings.stored(id));
        if (before.handshakeUntil === null || before.handshakeUntil <= clock.now()) return false;
        const secrets = [...new Set([...before.secrets, secret])].slice(-MAX_SECRETS);
        const by = access.recordSystem('integration.webhook_key_received', {
          integration: id,
          changed: ['webhook.secrets'],
        });
        await write(id, { ...before, secrets, handshakeUntil: null }, by);
        return true;
      }),
  };
}
