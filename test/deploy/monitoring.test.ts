// Alerts and dashboard use only metrics that a running broker exposes, and the runbook describes every alert and metric.
import { existsSync, globSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT, read, yaml } from '../support/deploy-files.ts';
import { type PromqlQuery, parsePromql } from '../support/promql.ts';
import { type MetricFamily, renderedMetrics } from '../support/rendered-metrics.ts';

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: { summary: string; runbook: string };
}
const { groups } = yaml<{ groups: { name: string; rules: Rule[] }[] }>('deploy/prometheus/alerts.yaml');
const rules = groups.flatMap((group) => group.rules);

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  datasource?: { uid: string };
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { refId: string; expr: string; legendFormat: string }[];
}
const dashboard = JSON.parse(read('deploy/grafana/dashboard.json')) as {
  panels: Panel[];
  templating: { list: { name: string; query: string }[] };
};
const shown = dashboard.panels.filter(({ type }) => type !== 'row');

/** Substitutes the variables as Grafana does. */
const substituted = (expression: string) =>
  expression.replaceAll('$__rate_interval', '5m').replace(/\$(job|integration)\b/g, 'any');

const SET_BY_PROMETHEUS = ['job', 'instance'];
const UP = ['up', new Set<string>()] as const;

let families: MetricFamily[];
let series: Map<string, Set<string>>;
beforeAll(async () => {
  families = await renderedMetrics();
  series = new Map([UP, ...families.flatMap((family) => [...family.series])]);
});

/** The metrics and labels of an expression that a broker does not expose. */
function unknownIn({ metrics, groupedBy }: PromqlQuery): string[] {
  const known = (name: string) => [...(series.get(name) ?? []), ...SET_BY_PROMETHEUS];
  const all = new Set(metrics.flatMap(({ name }) => known(name)));
  return [
    ...metrics.filter(({ name }) => !series.has(name)).map(({ name }) => name),
    ...metrics.flatMap(({ name, matchers }) =>
      matchers.filter(({ label }) => !known(name).includes(label)).map(({ label }) => `${name}{${label}}`),
    ),
    ...groupedBy.filter((label) => !all.has(label)).map((label) => `by (${label})`),
  ];
}

const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...shown.flatMap(({ title, targets }) => targets!.map(({ expr }) => [title, substituted(expr)] as const)),
];

describe('every PromQL expression', () => {
  it.each(expressions)('%s: uses known metrics and labels', (_, expr) => {
    const found = parsePromql(expr);
    expect(found.metrics).not.toEqual([]);
    expect(unknownIn(found)).toEqual([]);
  });

  it('matches known outcomes, statuses and routes', () => {
    const sources = globSync('src/**/*.ts', { cwd: ROOT }).map((path) => read(path));
    const paths = Object.keys(JSON.parse(read('openapi.json')).paths).map((path) => path.replace(/\{(\w+)\}/g, ':$1'));
    const values = expressions
      .flatMap(([, expr]) => parsePromql(expr).metrics)
      .flatMap(({ matchers }) => matchers)
      .flatMap(({ label, values }) => values.map((value) => ({ label, value })));
    const unknown = values.filter(({ label, value }) => {
      if (label === 'route') return !paths.includes(value);
      if (label === 'outcome') return !sources.some((source) => source.includes(`'${value}'`));
      return label === 'status' && !/^([45]\.\.|[1-5]\d\d|active|needs_reauth|revoked)$/.test(value);
    });
    expect(values.filter(({ label }) => label === 'outcome').length).toBeGreaterThan(5);
    expect(unknown).toEqual([]);
  });

  it('keeps `le` in quantiles, and uses bucket bounds of the histogram', () => {
    const quantiles = expressions.filter(([, expr]) => expr.includes('histogram_quantile'));
    expect(quantiles.length).toBeGreaterThan(1);
    for (const [, expr] of quantiles) expect(parsePromql(expr).groupedBy).toContain('le');
    const used = expressions.flatMap(([, expr]) =>
      parsePromql(expr).metrics.flatMap(({ name, matchers }) =>
        matchers.filter(({ label }) => label === 'le').map(({ values }) => ({ name, values })),
      ),
    );
    expect(used).not.toEqual([]);
    for (const { name, values } of used) {
      const { bounds } = families.find((family) => name === `${family.name}_bucket`)!;
      expect([...bounds]).toEqual(expect.arrayContaining(values));
    }
  });
});

describe('the check itself rejects', () => {
  it.each([
    ['an unknown metric', 'rate(valetkey_refresh_total[5m])', ['valetkey_refresh_total']],
    [
      'a histogram without a suffix',
      'valetkey_access_token_remaining_lifetime_seconds > 1',
      ['valetkey_access_token_remaining_lifetime_seconds'],
    ],
    ['an unknown label', 'valetkey_connections{state="active"}', ['valetkey_connections{state}']],
    ['a grouping by an unknown label', 'sum by (owner) (valetkey_connections)', ['by (owner)']],
    [
      'an unknown label in the second operand',
      'sum(up) / on (integration) sum without (job) (up)',
      ['by (integration)'],
    ],
    [
      'an unknown metric within a function',
      'abs(valetkey_unknown offset 5m) unless valetkey_store_up',
      ['valetkey_unknown'],
    ],
  ])('%s', (_, expr, unknown) => {
    expect(unknownIn(parsePromql(expr))).toEqual(unknown);
  });

  it.each([
    ['a function that does not exist', 'rat(up[5m])'],
    ['an unclosed parenthesis', 'sum(rate(up[5m])'],
    ['an unopened parenthesis', 'sum(up))'],
    ['a selector without a metric', '{job="valetkey"}'],
    ['a matcher without a value', 'up{job=}'],
    ['a comparison as a matcher', 'up{job>"a"}'],
    ['invalid characters', 'up ? 1'],
  ])('%s', (_, expr) => {
    expect(() => parsePromql(expr)).toThrow();
  });
});

describe('each alert', () => {
  it('has a unique name, a severity, a summary and a link to the runbook', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, labels, annotations, ...rule } of rules) {
      expect(labels.severity, alert).toMatch(/^(page|ticket)$/);
      expect(rule.for ?? '1m', alert).toMatch(/^\d+[smh]$/);
      expect(annotations.runbook).toBe(`docs/operations.md#${alert.toLowerCase()}`);
      expect(annotations.summary, alert).toMatch(/\w/);
    }
  });

  it('uses only labels of its result in the summary', () => {
    for (const { alert, expr, annotations } of rules) {
      const used = [...annotations.summary.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!);
      const { metrics, groupedBy } = parsePromql(expr);
      const left = /^\s*(sum|max|min|count|histogram_quantile|absent)\b/.test(expr)
        ? groupedBy
        : [...metrics.flatMap(({ name }) => [...(series.get(name) ?? [])]), ...SET_BY_PROMETHEUS];
      expect(left, alert).toEqual(expect.arrayContaining(used));
    }
  });
});

describe('the dashboard', () => {
  it('has panels with a title, a description and a data source, without overlaps', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    for (const { title, description, datasource, targets } of shown) {
      expect(description, title).toMatch(/\w/);
      expect(datasource?.uid, title).toBe('$' + '{datasource}');
      expect(new Set(targets!.map(({ refId }) => refId)).size, title).toBe(targets!.length);
    }
    const taken = new Set<string>();
    for (const { title, gridPos } of dashboard.panels)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(x < 24 && !taken.has(`${x},${y}`), `${title} at ${x},${y}`).toBe(true);
          taken.add(`${x},${y}`);
        }
  });

  it('uses exactly the variables that it defines', () => {
    const defined = dashboard.templating.list.map(({ name }) => name);
    const text = JSON.stringify(dashboard.panels);
    const used = [...text.matchAll(/\$\{?([a-z_]+)/g)]
      .map(([, name]) => name!)
      .filter((name) => !name.startsWith('__'));
    expect([...new Set(used)].sort()).toEqual([...defined].sort());
    for (const { query } of dashboard.templating.list) {
      const labelQuery = /^label_values\((\w+), (\w+)\)$/.exec(query);
      if (labelQuery) expect([...(series.get(labelQuery[1]!) ?? []), ...SET_BY_PROMETHEUS]).toContain(labelQuery[2]);
    }
  });

  it('uses only labels of the result in legends', () => {
    for (const { targets } of shown)
      for (const { expr, legendFormat } of targets!) {
        const used = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
        expect([...parsePromql(substituted(expr)).groupedBy, ...SET_BY_PROMETHEUS], expr).toEqual(
          expect.arrayContaining(used),
        );
      }
  });
});

describe('docs/operations.md', () => {
  it('has a section for each alert, and no others', () => {
    const sections = [...read('docs/operations.md').matchAll(/^#+ (Valetkey\w+)$/gm)].map(([, name]) => name);
    expect(sections).toEqual(rules.map(({ alert }) => alert));
  });

  it('has valid links, and names existing audit actions', () => {
    const page = read('docs/operations.md');
    const slug = (title: string) =>
      title
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-');
    const anchors = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) => slug(title!));
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor!);
    expect(links.length).toBeGreaterThan(15);
    expect(anchors).toEqual(expect.arrayContaining(links));
    for (const [, path] of page.matchAll(/\]\((?!#)([^)#]+)/g))
      expect(existsSync(new URL(path!, new URL('docs/', ROOT))), path).toBe(true);
    const sources = globSync('src/**/*.ts', { cwd: ROOT }).map((path) => read(path));
    const actions = [...page.matchAll(/--action ([\w.]+)/g)].map(([, action]) => action!);
    expect(actions.length).toBeGreaterThan(2);
    for (const action of actions)
      expect(
        sources.some((source) => source.includes(`'${action}'`)),
        action,
      ).toBe(true);
  });

  it('describes each of our metrics with its kind and labels', () => {
    const rows = [...read('docs/operations.md').matchAll(/^\| `(valetkey_\w+)`(?: by ([^|]*))? \| (\w+) \|/gm)];
    const documented = rows.map(([, name, labels, kind]) => ({
      name,
      kind,
      labels: [...(labels ?? '').matchAll(/`(\w+)`/g)].map(([, label]) => label).sort(),
    }));
    const ours = families.filter(({ name }) => name.startsWith('valetkey_'));
    const rendered = ours.map(({ name, kind, series }) => ({
      name,
      kind,
      labels: [...new Set([...series.values()].flatMap((labels) => [...labels]))].filter((l) => l !== 'le').sort(),
    }));
    expect(rendered.length).toBeGreaterThan(15);
    expect([...documented].sort(byName)).toEqual([...rendered].sort(byName));
  });
});

const byName = (a: { name?: string | undefined }, b: { name?: string | undefined }) =>
  String(a.name).localeCompare(String(b.name));
