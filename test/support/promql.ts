// Parses PromQL for the metrics, label matchers and grouping labels of an expression. Supports the subset that our rules
// and dashboards use, and rejects the rest.

export interface PromqlQuery {
  metrics: { name: string; matchers: { label: string; values: string[] }[] }[];
  /** Labels after `by`, `without`, `on` and the like. */
  groupedBy: string[];
}

const words = (text: string) => new Set(text.trim().split(/\s+/));
const AGGREGATIONS = words('avg bottomk count count_values group max min quantile stddev stdvar sum topk');
const FUNCTIONS = words(`
  abs absent absent_over_time avg_over_time ceil changes clamp clamp_max clamp_min count_over_time delta deriv exp floor
  histogram_quantile idelta increase irate label_join label_replace last_over_time ln log10 log2 max_over_time
  min_over_time predict_linear present_over_time rate resets round scalar sort sort_desc sqrt sum_over_time time
  timestamp vector`);
const LABEL_LISTS = words('by without on ignoring group_left group_right');
const OPERATORS = words('and or unless bool offset atan2 inf nan');

/** White space and comments, strings, ranges, numbers and durations, names, operators; in this order. */
const TOKEN =
  /\s+|#.*|(?<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<range>\[[^\]]*\])|(?<number>\d[\d.]*(?:e[+-]?\d+|[a-z\d]+)?)|(?<name>[a-z_:][\w:]*)|(?<sign>=~|!~|[!=<>]=|[-+*/%^=<>(){},])/giy;

interface Token {
  kind: 'text' | 'range' | 'number' | 'name' | 'sign';
  text: string;
}

/** Grafana's variables must be filled in before. Throws when the expression is not valid. */
export function parsePromql(expression: string): PromqlQuery {
  const tokens = tokensOf(expression);
  const metrics: PromqlQuery['metrics'] = [];
  const groupedBy: string[] = [];
  const open: string[] = [];
  const next = () => tokens[0]?.text;
  const expectToken = (text: string) => {
    const token = tokens.shift();
    if (token?.text !== text)
      throw new Error(`${text} is expected where ${token?.text ?? 'the end'} is: ${expression}`);
  };
  const readToken = (kind: Token['kind']): string => {
    const token = tokens.shift();
    if (token?.kind !== kind)
      throw new Error(`a ${kind} is expected where ${token?.text ?? 'the end'} is: ${expression}`);
    return token.text;
  };
  /** Parses a comma-separated list between two signs. */
  const list = (from: string, to: string, one: () => void) => {
    expectToken(from);
    while (next() !== to) {
      one();
      if (next() !== to) expectToken(',');
    }
    expectToken(to);
  };

  const matcher = (matchers: PromqlQuery['metrics'][number]['matchers']) => {
    const label = readToken('name');
    const how = readToken('sign');
    if (!['=', '!=', '=~', '!~'].includes(how)) throw new Error(`${how} does not match labels: ${expression}`);
    const value = readToken('text').slice(1, -1);
    matchers.push({ label, values: how.endsWith('~') ? value.split('|') : [value] });
  };

  while (tokens.length > 0) {
    const { kind, text } = tokens.shift()!;
    if (text === '(') open.push(text);
    else if (text === ')' && open.pop() === undefined) throw new Error(`one ) too many: ${expression}`);
    else if (text === '{') throw new Error(`a selector must name its metric: ${expression}`);
    if (kind !== 'name' || OPERATORS.has(text.toLowerCase())) continue;
    if (LABEL_LISTS.has(text)) {
      if (next() === '(') list('(', ')', () => groupedBy.push(readToken('name')));
    } else if (AGGREGATIONS.has(text) || FUNCTIONS.has(text)) {
      if (next() !== '(' && !LABEL_LISTS.has(next() ?? '')) throw new Error(`${text} is a function: ${expression}`);
    } else if (next() === '(') {
      throw new Error(`there is no function ${text}: ${expression}`);
    } else {
      const matchers: PromqlQuery['metrics'][number]['matchers'] = [];
      if (next() === '{') list('{', '}', () => matcher(matchers));
      metrics.push({ name: text, matchers });
    }
  }
  if (open.length > 0) throw new Error(`one ( too many: ${expression}`);
  return { metrics, groupedBy };
}

function tokensOf(expression: string): Token[] {
  const tokens: Token[] = [];
  let end = 0;
  for (const match of expression.matchAll(TOKEN)) {
    end = match.index + match[0].length;
    const found = Object.entries(match.groups ?? {}).find(([, text]) => text !== undefined);
    if (found) tokens.push({ kind: found[0] as Token['kind'], text: found[1] });
  }
  if (end < expression.length) throw new Error(`not PromQL from ${expression.slice(end)}: ${expression}`);
  return tokens;
}
