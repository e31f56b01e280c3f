// The options of `npm run simulate`.
import { parseArgs } from 'node:util';

export interface Options {
  connections: number;
  integrations: number;
  /** Of virtual time. */
  hours: number;
  seed: number;
  store: 'sqlite' | 'postgres';
  /** Refreshes of each integration a second; undefined: as shipped. */
  rate: number | undefined;
  /** The run ends after so many seconds of real time, wherever virtual time is then. */
  maxSeconds: number;
  json: boolean;
}

/** Throws an error that says what an option accepts. */
export function optionsOf(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      connections: { type: 'string', default: '1000000' },
      integrations: { type: 'string', default: '5' },
      hours: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      store: { type: 'string', default: 'sqlite' },
      rate: { type: 'string' },
      'max-seconds': { type: 'string', default: '3600' },
      json: { type: 'boolean', default: false },
    },
  });
  const hours = Number(values.hours);
  if (!(hours > 0)) throw new Error('--hours is a number above 0');
  const { store } = values;
  if (store !== 'sqlite' && store !== 'postgres') throw new Error('--store is sqlite or postgres');
  return {
    ...{ hours, store, json: values.json },
    connections: wholeNumber('connections', values.connections),
    integrations: wholeNumber('integrations', values.integrations),
    seed: wholeNumber('seed', values.seed),
    rate: values.rate === undefined ? undefined : wholeNumber('rate', values.rate),
    maxSeconds: wholeNumber('max-seconds', values['max-seconds']),
  };
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} is a whole number above 0`);
  return number;
}
