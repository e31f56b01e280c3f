// Pages of a list: a store reads one row more than the limit, to know whether another page follows.
import type { Page } from '../../ports/index.ts';

export const pageOf = <T extends { id: string }>(rows: T[], limit: number): Page<T> => ({
  data: rows.slice(0, limit),
  next: rows.length > limit ? rows[limit - 1]!.id : null,
});
