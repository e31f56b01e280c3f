// What admins set of an integration's signals: another transmitter, an audience, and where events are fetched.
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { SignalSettings } from '../../../domain/signal-receivers.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { Cache } from '../../cache/index.ts';
import type { SignalReceivers } from './receivers.ts';

/** Without the token. */
export interface SignalView {
  /** Where transmitters push security events. */
  url: string;
  /** Where the OpenID provider sends logout tokens; null: it has no issuer. */
  logoutUrl: string | null;
  issuer: string;
  jwksUri: string | null;
  audience: string | null;
  pollUrl: string | null;
  tokenSet: boolean;
}

export interface SignalAdmin {
  /** What is wrong with settings; undefined: nothing. */
  issues(settings: SignalSettings | null): Refusal | undefined;
  /**
   * After the integration was stored. Replaces all; null: as the catalogue has it. Without a token, the stored one stays, but
   * never for another `poll_url`.
   */
  put(call: Call, integration: string, settings: SignalSettings | null): Promise<void>;
  /** Null: it receives no signals. Rejects with `StoreError`. */
  view(integration: string): Promise<SignalView | null>;
}

interface Parts {
  store: Pick<Store, 'putReceiverSettings'>;
  receivers: SignalReceivers;
  access: Pick<Access, 'record'>;
  checkUrl: (url: string) => string | undefined;
  untilApplied: Cache['untilApplied'];
  clock: Pick<Clock, 'now'>;
  publicUrl: string;
}

export function createSignalAdmin(parts: Parts): SignalAdmin {
  const { store, receivers, access, checkUrl, untilApplied, clock, publicUrl } = parts;
  return {
    issues(settings) {
      const issues = (['issuer', 'jwks_uri', 'poll_url'] as const).flatMap((name) => {
        const url = settings?.[name];
        const message = url === undefined ? undefined : checkUrl(url);
        return message === undefined ? [] : [{ path: `signals.${name}`, message }];
      });
      if (issues.length === 0) return undefined;
      return refuse({ code: 'invalid_request', detail: 'the settings of its signals are not valid', issues });
    },

    async put(call, integration, settings) {
      const before = await receivers.stored(integration);
      if (settings === null && before === undefined) return;
      const isSameSender = settings?.poll_url === before?.poll_url;
      const token = settings?.token ?? (isSameSender ? before?.token : undefined);
      const after = settings && { ...settings, ...(token !== undefined && { token }) };
      if (JSON.stringify(sorted(after)) === JSON.stringify(sorted(before ?? null))) return;
      const by = access.record(call, 'integration.signals_set', { integration, changed: changedOf(before, after) });
      const signals = after && receivers.encrypted(integration, after);
      await store.putReceiverSettings({ integration, signals, updatedAt: clock.now() }, by);
      receivers.invalidate();
      await untilApplied();
    },

    async view(integration) {
      const found = await receivers.find(integration);
      if (!found) return null;
      const { settings, transmitter, issuer } = found;
      return {
        url: receivers.url(integration),
        logoutUrl: issuer === null ? null : `${publicUrl}/logout/${integration}`,
        issuer: transmitter.issuer,
        jwksUri: transmitter.jwksUri ?? null,
        audience: settings.audience ?? null,
        pollUrl: settings.poll_url ?? null,
        tokenSet: settings.token !== undefined,
      };
    },
  };
}

const sorted = (settings: SignalSettings | null) =>
  settings && Object.entries(settings).sort(([one], [other]) => (one < other ? -1 : 1));

const changedOf = (before: SignalSettings | undefined, after: SignalSettings | null): string[] =>
  [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])]
    .filter((name) => before?.[name as keyof SignalSettings] !== after?.[name as keyof SignalSettings])
    .map((name) => `signals.${name}`);
