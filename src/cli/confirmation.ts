// Questions before what cannot be undone.
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';

export interface Confirmation {
  /** What is asked, with what is at stake. */
  question: string;
  /** What must be typed; undefined: yes. */
  word?: string;
  /** What has not happened without it: `nothing was applied`. */
  otherwise: string;
  json: boolean;
}

/** Rejects with `Failure` unless it is confirmed at a terminal. */
export async function confirm(io: Io, { question, word, otherwise, json }: Confirmation): Promise<void> {
  if (json || !io.inputIsTty) throw misused(`${otherwise}: without a terminal, confirm with --yes`);
  const reply = (await io.question(question)).trim();
  if (word === undefined ? !/^y(es)?$/i.test(reply) : reply !== word) throw new Failure(otherwise);
}
