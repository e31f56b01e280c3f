// The alerts and the dashboard ask only for what a running broker tells, and the runbook knows every alert and metric.
import { existsSync, globSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT, read, yaml } from '../support/deploy-files.ts';
import { type Asked, asked } from '../support/promql.ts';
import { type Family, renderedMetrics } from '../support/rendered-metrics.ts';

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

/** As Grafana would before it asks. */
const filledIn = (expression: string) =>
  expression.replaceAll('$__rate_interval', '5m').replace(/\$(job|integration)\b/g, 'any');

const SET_BY_PROMETHEUS = ['job', 'instance'];
const UP = ['up', new Set<string>()] as const;

let families: Family[];
let series: Map<string, Set<string>>;
beforeAll(async () => {
  families = await renderedMetrics();
  series = new Map([UP, ...families.flatMap((family) => [...family.series])]);
});

/** Every metric and label of an expression that no broker has. */
function unknownIn({ metrics, groupedBy }: Asked): string[] {
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
  ...shown.flatMap(({ title, targets }) => targets!.map(({ expr }) => [title, filledIn(expr)] as const)),
];

describe('every expression', () => {
  it.each(expressions)('of %s asks for metrics and labels that there are', (_, expr) => {
    const found = asked(expr);
    expect(found.metrics).not.toEqual([]);
    expect(unknownIn(found)).toEqual([]);
  });

  it('matches outcomes, statuses and routes that the broker knows', () => {
    const sources = globSync('src/**/*.ts', { cwd: ROOT }).map((path) => read(path));
    const paths = Object.keys(JSON.parse(read('openapi.json')).paths).map((path) => path.replace(/\{(\w+)\}/g, ':$1'));
    const values = expressions
      .flatMap(([, expr]) => asked(expr).metrics)
      .flatMap(({ matchers }) => matchers)
      .flatMap(({ label, values }) => values.map((value) => ({ label, value })));
    const unheardOf = values.filter(({ label, value }) => {
      if (label === 'route') return !paths.includes(value);
      if (label === 'outcome') return !sources.some((source) => source.includes(`'${value}'`));
      return label === 'status' && !/^([45]\.\.|[1-5]\d\d|active|needs_reauth|revoked)$/.test(value);
    });
    expect(values.filter(({ label }) => label === 'outcome').length).toBeGreaterThan(5);
    expect(unheardOf).toEqual([]);
  });

  it('that sums buckets keeps their bounds, which are those of the histogram', () => {
    const quantiles = expressions.filter(([, expr]) => expr.includes('histogram_quantile'));
    expect(quantiles.length).toBeGreaterThan(1);
    for (const [, expr] of quantiles) expect(asked(expr).groupedBy).toContain('le');
    const asksFor = expressions.flatMap(([, expr]) =>
      asked(expr).metrics.flatMap(({ name, matchers }) =>
        matchers.filter(({ label }) => label === 'le').map(({ values }) => ({ name, values })),
      ),
    );
    expect(asksFor).not.toEqual([]);
    for (const { name, values } of asksFor) {
      const { bounds } = families.find((family) => name === `${family.name}_bucket`)!;
      expect([...bounds]).toEqual(expect.arrayContaining(values));
    }
  });
});

describe('the check finds', () => {
  it.each([
    ['a misspelt metric', 'rate(valetkey_refresh_total[5m])', ['valetkey_refresh_total']],
    [
      'a histogram asked for by its bare name',
      'valetkey_access_token_remaining_lifetime_seconds > 1',
      ['valetkey_access_token_remaining_lifetime_seconds'],
    ],
    ['a label that is not there', 'valetkey_connections{state="active"}', ['valetkey_connections{state}']],
    ['a grouping by what is not there', 'sum by (owner) (valetkey_connections)', ['by (owner)']],
    ['one in the second half', 'sum(up) / on (integration) sum without (job) (up)', ['by (integration)']],
    ['one behind a function and an offset', 'abs(valetkey_dew offset 5m) unless valetkey_store_up', ['valetkey_dew']],
  ])('%s', (_, expr, unknown) => {
    expect(unknownIn(asked(expr))).toEqual(unknown);
  });

  it.each([
    ['a function that does not exist', 'rat(up[5m])'],
    ['a parenthesis too few', 'sum(rate(up[5m])'],
    ['a parenthesis too many', 'sum(up))'],
    ['a selector without a name', '{job="valetkey"}'],
    ['a matcher without its value', 'up{job=}'],
    ['a comparison as a matcher', 'up{job>"a"}'],
    ['what is not PromQL', 'up ? 1'],
  ])('%s', (_, expr) => {
    expect(() => asked(expr)).toThrow();
  });
});

describe('each alert', () => {
  it('has a name of its own, a severity, a summary and its place in the runbook', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, labels, annotations, ...rule } of rules) {
      expect(labels.severity, alert).toMatch(/^(page|ticket)$/);
      expect(rule.for ?? '1m', alert).toMatch(/^\d+[smh]$/);
      expect(annotations.runbook).toBe(`docs/operations.md#${alert.toLowerCase()}`);
      expect(annotations.summary, alert).toMatch(/\w/);
    }
  });

  it('tells in its summary only labels that its expression leaves', () => {
    for (const { alert, expr, annotations } of rules) {
      const told = [...annotations.summary.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!);
      const { metrics, groupedBy } = asked(expr);
      const left = /^\s*(sum|max|min|count|histogram_quantile|absent)\b/.test(expr)
        ? groupedBy
        : [...metrics.flatMap(({ name }) => [...(series.get(name) ?? [])]), ...SET_BY_PROMETHEUS];
      expect(left, alert).toEqual(expect.arrayContaining(told));
    }
  });
});

describe('the dashboard', () => {
  it('has panels with a title, a meaning and a source, which do not lie on one another', () => {
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

  it('uses the variables that it defines, and no others', () => {
    const defined = dashboard.templating.list.map(({ name }) => name);
    const text = JSON.stringify(dashboard.panels);
    const used = [...text.matchAll(/\$\{?([a-z_]+)/g)]
      .map(([, name]) => name!)
      .filter((name) => !name.startsWith('__'));
    expect([...new Set(used)].sort()).toEqual([...defined].sort());
    for (const { query } of dashboard.templating.list) {
      const asksFor = /^label_values\((\w+), (\w+)\)$/.exec(query);
      if (asksFor) expect([...(series.get(asksFor[1]!) ?? []), ...SET_BY_PROMETHEUS]).toContain(asksFor[2]);
    }
  });

  it('names in a legend only labels that the expression leaves', () => {
    for (const { targets } of shown)
      for (const { expr, legendFormat } of targets!) {
        const told = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
        expect([...asked(filledIn(expr)).groupedBy, ...SET_BY_PROMETHEUS], expr).toEqual(expect.arrayContaining(told));
      }
  });
});

describe('docs/operations.md', () => {
  it('tells what to do for each alert, and for no other', () => {
    const sections = [...read('docs/operations.md').matchAll(/^#+ (Valetkey\w+)$/gm)].map(([, name]) => name);
    expect(sections).toEqual(rules.map(({ alert }) => alert));
  });

  it('leads to places that there are, and asks the audit log for actions that are recorded', () => {
    const page = read('docs/operations.md');
    const slug = (title: string) =>
      title
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-');
    const places = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) => slug(title!));
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, place]) => place!);
    expect(links.length).toBeGreaterThan(15);
    expect(places).toEqual(expect.arrayContaining(links));
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

  it('explains each metric of ours, with its kind and labels as they are rendered', () => {
    const rows = [...read('docs/operations.md').matchAll(/^\| `(valetkey_\w+)`(?: by ([^|]*))? \| (\w+) \|/gm)];
    const told = rows.map(([, name, labels, kind]) => ({
      name,
      kind,
      labels: [...(labels ?? '').matchAll(/`(\w+)`/g)].map(([, label]) => label).sort(),
    }));
    const ours = families.filter(({ name }) => name.startsWith('valetkey_'));
    const real = ours.map(({ name, kind, series }) => ({
      name,
      kind,
      labels: [...new Set([...series.values()].flatMap((labels) => [...labels]))].filter((l) => l !== 'le').sort(),
    }));
    expect(real.length).toBeGreaterThan(15);
    expect([...told].sort(byName)).toEqual([...real].sort(byName));
  });
});

const byName = (a: { name?: string | undefined }, b: { name?: string | undefined }) =>
  String(a.name).localeCompare(String(b.name));
