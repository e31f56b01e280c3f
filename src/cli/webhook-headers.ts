// A file with headers: arguments would show them to other users of the machine.
import { misused } from './failure.ts';

/** Lines of `Name: value`; empty lines are skipped. */
export function headersIn(text: string): Record<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  return Object.fromEntries(
    lines.map((line, i) => {
      const colon = line.indexOf(':');
      // The line may be a secret.
      if (colon < 1) throw misused(`line ${i + 1} of the headers file is not a header: Name: value`);
      return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    }),
  );
}
