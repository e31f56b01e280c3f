// The audit log: its entries by filters, and a download of them.
import { Hono } from 'hono';
import type { AuditLog } from '../../../../broker/audit/index.ts';
import type { CallerAdmin } from '../../../../broker/callers/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { PlainSite } from '../../../pages/layout.ts';
import { paged } from '../../../paging.ts';
import { type Place, refusedPage, seeOther, shown } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { callerNames } from '../../parts/actors.ts';
import { exportedEntries } from './audit-export.ts';
import { auditPage } from './audit-list.ts';
import { askedEntries } from './audit-query.ts';

export interface AuditViewParts {
  auditLog: AuditLog;
  callers: Pick<CallerAdmin, 'list'>;
  clock: Clock;
  site: PlainSite;
}

export function auditViews({ auditLog, callers, clock, site }: AuditViewParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'audit' };
  const routes = new Hono<ConsoleEnv>();
  routes.get('/console/audit', async (c) => {
    const visit = c.get('visit');
    const asked = askedEntries(new URL(c.req.url).searchParams);
    const { cursor, filter, issues } = asked;
    const found =
      issues.size > 0
        ? { data: [], next: null }
        : await paged(c, { cursor }, (request) => auditLog(visit.call, filter, request));
    const names = await callerNames(callers, visit);
    return shown(c, place, found, ({ data, next }) => {
      const list = { names, rows: data, next: next === null ? null : c.get('cursors').encrypt(c.req.path, next) };
      const body = auditPage(site.base, { ...asked, ...list, now: clock.now() });
      return c.html(
        consolePage(site, visit, { title: 'Audit log', section: 'audit', body }),
        issues.size > 0 ? 422 : 200,
      );
    });
  });

  routes.get('/console/audit/export', async (c) => {
    const { call } = c.get('visit');
    const { filter, issues, query } = askedEntries(new URL(c.req.url).searchParams);
    if (issues.size > 0) return seeOther(c, site, `/audit?${query}`);
    // Whether they may, before an answer has begun.
    const allowed = await auditLog(call, filter, { limit: 1, after: undefined });
    if (allowed instanceof Refusal) return refusedPage(c, place, allowed);
    const day = new Date(clock.now()).toISOString().slice(0, 10);
    c.header('Content-Type', 'application/x-ndjson');
    c.header('Content-Disposition', `attachment; filename="audit-${day}.ndjson"`);
    return c.body(exportedEntries(auditLog, call, filter));
  });
  return routes;
}
