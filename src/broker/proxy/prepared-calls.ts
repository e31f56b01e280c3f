// What all calls of a connection have in common: where they go, and how its token is attached. Made once for each token.
import { LRUCache } from 'lru-cache';
import { toTextValues } from '../../domain/account.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import { type Fault, Refusal, refuse } from '../../domain/errors.ts';
import { fillAll, type Values } from '../../domain/fields.ts';
import { apiOf } from '../../domain/provider.ts';
import {
  type Attachment,
  attachmentOf,
  credentialHeaders,
  type Unattachable,
  withEncodings,
} from '../../domain/proxied-credential.ts';
import { type Destination, destinationOf, NoDestination } from '../../domain/proxied-destination.ts';
import type { Target } from '../../domain/target.ts';
import type { ServedToken } from '../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';

export interface PreparedCall {
  found: ResolvedIntegration;
  destination: Destination;
  attachment: Attachment;
  /** Each part of the credential, as it is and encoded: they must not come back in a response. */
  secrets: readonly string[];
  /** Those of the caller are left out. In lower case. */
  credentialHeaders: readonly string[];
  /** What the entry says that every request needs. */
  apiHeaders: Readonly<Record<string, string>>;
  tls: { cert: string; key: string } | undefined;
  /** Params of the target, for signatures. */
  values: Values;
  /** By which the API recognises a request that is sent again: a header, in lower case, or a query parameter. */
  idempotency: { header: string | undefined; query: string | undefined };
}

export interface CallPreparation {
  /**
   * `to`: the alias of another host of the API, or a place that the broker itself knows, such as an endpoint of the provider.
   * Synchronous when memory has it. Rejects with `StoreError`.
   */
  prepare(
    served: ServedToken,
    to: string | Destination | undefined,
  ): PreparedCall | Refusal | Promise<PreparedCall | Refusal>;
  /** Undefined: any integration may have changed. */
  integrationChanged(id: string | undefined): void;
}

const MAX_INTEGRATIONS = 1_000;

export function createCallPreparation({ targets }: { targets: Targets }): CallPreparation {
  const resolved = new LRUCache<string, ResolvedIntegration>(upTo(MAX_INTEGRATIONS));
  /** Grows with each change: what was read before it is not kept. */
  let changes = 0;
  const prepared = new WeakMap<ServedToken, Map<string, PreparedCall>>();

  async function resolve(id: string): Promise<ResolvedIntegration | Refusal> {
    const before = changes;
    const found = await targets.find(id);
    if (!(found instanceof Refusal) && before === changes) resolved.set(id, found);
    return found;
  }

  function prepareFor(
    found: ResolvedIntegration,
    served: ServedToken,
    alias: string | Destination | undefined,
  ): PreparedCall | Refusal {
    if (typeof alias === 'object') return make(found, targets.targetOf(found, served.connection), served, alias);
    const ofToken = prepared.get(served) ?? new Map<string, PreparedCall>();
    const known = ofToken.get(alias ?? '');
    if (known?.found === found) return known;
    const made = make(found, targets.targetOf(found, served.connection), served, alias);
    if (made instanceof Refusal) return made;
    ofToken.set(alias ?? '', made);
    prepared.set(served, ofToken);
    return made;
  }

  return {
    prepare(served, alias) {
      const id = served.connection.integration;
      const found = resolved.get(id);
      if (found) return prepareFor(found, served, alias);
      return resolve(id).then((one) => (one instanceof Refusal ? one : prepareFor(one, served, alias)));
    },
    integrationChanged(id) {
      changes++;
      if (id === undefined) resolved.clear();
      else resolved.delete(id);
    },
  };
}

function make(
  found: ResolvedIntegration,
  { values, secrets }: Target,
  { connection, accessToken }: ServedToken,
  to: string | Destination | undefined,
): PreparedCall | Refusal {
  const { integration, provider, auth } = found;
  const { captured, tokenType } = connection;
  const source = { provider, auth, overrides: integration.overrides, values, captured };
  const destination = typeof to === 'object' ? to : destinationOf(source, to);
  if (destination instanceof NoDestination) return refuse(faultOf(destination, integration.id));
  const attachment = attachmentOf(tokenType, accessToken);
  if (typeof attachment === 'string')
    return refuse({ code: 'invalid_request', detail: DETAILS[attachment](tokenType) });
  const { privateKey, certificate } = secrets;
  return {
    found,
    destination,
    attachment,
    secrets: withEncodings(attachment.secrets),
    credentialHeaders: credentialHeaders(attachment),
    apiHeaders: headersOf(apiOf(provider, auth).headers, { ...toTextValues(captured), ...values }),
    tls: certificate !== null && privateKey !== null ? { cert: certificate, key: privateKey } : undefined,
    values,
    idempotency: {
      header: provider.api.idempotency?.header?.toLowerCase(),
      query: provider.api.idempotency?.query,
    },
  };
}

const DETAILS: Record<Unattachable, (tokenType: string) => string> = {
  type: (tokenType) =>
    `The broker cannot attach a token of the type ${tokenType}. Read the token, and send it yourself.`,
  text: () =>
    'The credential of this connection has characters that no header can have, or is not of the form that its type says. Import it again.',
};

const faultOf = ({ detail, isUnknownHost }: NoDestination, integration: string): Fault =>
  isUnknownHost ? { code: 'invalid_path', detail } : { code: 'integration_misconfigured', integration, detail };

/** Those that cannot be filled are left out, and those whose value no header may have. */
const headersOf = (templates: Values, values: Values): Values =>
  Object.fromEntries(Object.entries(fillAll(templates, values)).filter(([, value]) => /^[\t\x20-\x7e]*$/.test(value)));
