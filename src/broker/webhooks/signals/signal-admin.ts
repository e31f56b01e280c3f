// What admins set of an integration's signals: another transmitter, an audience, and where events are fetched.
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { SignalSettings } from '../../../domain/signal-receivers.ts';
import type { Clock, ReceiverChange } from '../../../ports/index.ts';
import type { Recorder } from '../settings/webhook-admin.ts';
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
   * What settings would store, by the caller. They replace all; null: as the catalogue has it. Without a token, the stored one
   * stays, but never for another `poll_url`. `differences`: what would change, by name.
   */
  plan(
    integration: string,
    settings: SignalSettings | null,
    record: Recorder,
  ): Promise<{ change: ReceiverChange | undefined; differences: string[] }>;
  /** Null: it receives no signals. Rejects with `StoreError`. */
  view(integration: string): Promise<SignalView | null>;
}

interface Parts {
  receivers: SignalReceivers;
  checkUrl: (url: string) => string | undefined;
  clock: Pick<Clock, 'now'>;
  publicUrl: string;
}

export function createSignalAdmin(parts: Parts): SignalAdmin {
  const { receivers, checkUrl, clock, publicUrl } = parts;
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

    async plan(integration, settings, record) {
      const before = await receivers.stored(integration);
      const isSameSender = settings?.poll_url === before?.poll_url;
      const token = settings?.token ?? (isSameSender ? before?.token : undefined);
      const after = settings && { ...settings, ...(token !== undefined && { token }) };
      if (JSON.stringify(sorted(after)) === JSON.stringify(sorted(before ?? null)))
        return { change: undefined, differences: [] };
      const changed = changedOf(before, after);
      const signals = after && receivers.encrypted(integration, after);
      const audit = record('integration.signals_set', { integration, changed });
      const change = { settings: { integration, signals, updatedAt: clock.now() }, audit };
      return { change, differences: changed.length > 0 ? changed : ['signals'] };
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
