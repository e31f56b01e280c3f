// What circuits are like, for metrics, the console, and explaining why something waits.
import type { OpenCircuitFacts } from '../../../../domain/explanation.ts';
import type { CircuitView } from '../../../../domain/limits-state.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Circuit, Circuits, Open } from './circuit.ts';

export interface CircuitViews {
  /** Why and since when an endpoint of an integration is not asked, the first to have opened; undefined endpoint: any of them. */
  whyOpen(integration: string, endpoint: string | undefined, now: number): OpenCircuitFacts | null;
  /** For metrics, the worst of each integration: 0 closed, 0.5 probing, 1 open. */
  states(): { integration: string; state: 0 | 0.5 | 1 }[];
  /** The circuits that are not closed. */
  open(): { integration: string; endpoint: string; state: 0.5 | 1 }[];
  /** The same, with why and for how long. */
  views(): CircuitView[];
}

export function createCircuitViews(circuits: Circuits, clock: Pick<Clock, 'monotonic'>): CircuitViews {
  const notClosed = (): { key: Circuit['key']; open: Open }[] =>
    [...circuits.all()].flatMap(([, all]) => [...all].flatMap(({ key, open }) => (open ? [{ key, open }] : [])));

  return {
    whyOpen(integration, endpoint, now) {
      const monotonic = clock.monotonic();
      const all = circuits
        .ofIntegration(integration)
        .filter(({ key }) => endpoint === undefined || key.endpoint === endpoint);
      const [first] = all.flatMap(({ open }) => open ?? []).sort((a, b) => a.since - b.since);
      if (!first) return null;
      const { cause, fault, since, until } = first;
      return { cause, code: fault.code, since: now - (monotonic - since), until: now + Math.max(0, until - monotonic) };
    },

    states: () =>
      [...circuits.all()].map(([integration, all]) => ({
        integration,
        state: [...all].reduce<0 | 0.5 | 1>((worst, { open }) => {
          const state = open ? stateOf(open) : 0;
          return state > worst ? state : worst;
        }, 0),
      })),

    open: () =>
      notClosed().map(({ key, open }) => ({
        integration: key.integration.id,
        endpoint: key.endpoint,
        state: stateOf(open),
      })),

    views: () => notClosed().map(({ key, open }) => viewOf(key, open, clock.monotonic())),
  };
}

const stateOf = ({ probe }: Open): 0.5 | 1 => (probe ? 0.5 : 1);

const viewOf = ({ integration, endpoint }: Circuit['key'], open: Open, now: number): CircuitView => ({
  id: integration.id,
  endpoint,
  state: open.probe ? 'half_open' : 'open',
  why: { cause: open.cause, code: open.fault.code },
  openForMs: now - open.since,
  probeInMs: open.probe ? null : Math.max(0, open.until - now),
});
