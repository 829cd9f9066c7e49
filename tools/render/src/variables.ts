/** Dashboard variables: what may be chosen, what is chosen, and how it is written into queries and titles. */
import { type DataFrame, type Field, getFieldDisplayName, type ScopedVars, type TimeRange } from '@grafana/data';
import { capitalize } from 'lodash';
import { api } from './api';

export type Scope = Record<string, string>;

interface Choice {
  text: string;
  value: string;
}
export interface Definition {
  name: string;
  label?: string;
  type: string;
  query?: string | { query?: string };
  regex?: string;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  hide?: number;
  sort?: number;
  options?: Choice[];
  current?: { text?: string | string[]; value?: string | string[] };
}
export interface Chosen {
  definition: Definition;
  /** Empty where "All" is chosen. */
  values: string[];
  all: boolean;
  options: Choice[];
}

const ALL = '$__all';
const REFERENCE = /\$\{([\w.[\]]+)(?::(\w+))?\}|\[\[(\w+)(?::(\w+))?\]\]|\$(\w+)/g;

export const seconds = (count: number): string => (count % 1 ? `${Math.round(count * 1000)}ms` : `${count}s`);

const regexEscaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\\\$&');

function written(chosen: Chosen, format: string | undefined): string {
  const { definition, all, options } = chosen;
  if (all && definition.allValue && format !== 'text') {
    return definition.allValue;
  }
  const values = all ? options.map(({ value }) => value) : chosen.values;
  switch (format) {
    case 'text':
      return all ? 'All' : values.join(' + ');
    case 'raw':
    case 'csv':
      return values.join(',');
    case 'pipe':
      return values.join('|');
    case 'queryparam':
      return (all ? [ALL] : values).map((value) => `var-${definition.name}=${encodeURIComponent(value)}`).join('&');
    case 'regex':
    case undefined:
      return alternatives(values, Boolean(definition.multi || definition.includeAll) || format === 'regex');
    default:
      throw new Error(`unknown format of a variable: \${${definition.name}:${format}}`);
  }
}

function alternatives(values: string[], many: boolean): string {
  if (!many) {
    return (values[0] ?? '').replace(/[\\']/g, '\\\\$&');
  }
  const escaped = values.map(regexEscaped);
  return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
}

/** `__field.labels.model`, `__data.fields.Team`, `__value.text` ... of a cell. */
function cell(path: string, scoped: ScopedVars | undefined): string | undefined {
  const context = scoped?.__dataContext?.value as { frame: DataFrame; field: Field; rowIndex?: number } | undefined;
  if (!context) {
    return undefined;
  }
  const { frame, field, rowIndex = 0 } = context;
  const labels = path.match(/^__field\.labels(?:\.(\w+)|\["?(\w+)"?\])$/);
  if (labels) {
    return field.labels?.[labels[1] ?? labels[2]] ?? '';
  }
  const column = path.match(/^__data\.fields(?:\.(\w+)|\[(\w+)\])/);
  if (column) {
    const wanted = column[1] ?? column[2];
    const found = frame.fields.find((one, at) => getFieldDisplayName(one, frame) === wanted || String(at) === wanted);
    return found ? String(found.values[rowIndex] ?? '') : '';
  }
  const value = field.values[rowIndex];
  return {
    '__field.name': getFieldDisplayName(field, frame),
    '__field.displayName': getFieldDisplayName(field, frame),
    '__series.name': frame.name ?? getFieldDisplayName(field, frame),
    '__value.raw': String(value),
    '__value.numeric': String(value),
    '__value.text': String(value),
  }[path];
}

export class Variables {
  constructor(
    readonly chosen: Chosen[],
    private readonly range: TimeRange
  ) {}

  /** As written into PromQL: several values become a regular expression. */
  query(text: string, scope: Scope = {}): string {
    return this.fill(text, (name, format) => {
      const found = this.chosen.find(({ definition }) => definition.name === name);
      return found ? written(found, format) : (scope[name] ?? this.time(name));
    });
  }

  /** As written into titles, links and options: Grafana's `InterpolateFunction`. */
  replace = (text: string | undefined, scoped?: ScopedVars): string =>
    this.fill(text ?? '', (name, format) => {
      const inCell = name.startsWith('__') ? cell(name, scoped) : undefined;
      if (inCell !== undefined) {
        return inCell;
      }
      if (scoped?.[name]) {
        return String(scoped[name].value);
      }
      const found = this.chosen.find(({ definition }) => definition.name === name);
      return found ? written(found, format ?? 'text') : this.time(name);
    });

  private time(name: string): string | undefined {
    const { from, to, raw } = this.range;
    const window = `from=${raw.from.valueOf()}&to=${raw.to.valueOf()}`;
    const known: Scope = { __from: String(from.valueOf()), __to: String(to.valueOf()), __url_time_range: window };
    if (name === '__all_variables') {
      return this.chosen.map((one) => written(one, 'queryparam')).join('&');
    }
    return known[name];
  }

  private fill(text: string, valueOf: (name: string, format?: string) => string | undefined): string {
    return text.replace(REFERENCE, (whole, braced, braceFormat, square, squareFormat, plain) => {
      return valueOf(braced ?? square ?? plain, braceFormat ?? squareFormat) ?? whole;
    });
  }
}

async function choicesOf(definition: Definition, known: Variables, range: TimeRange): Promise<Choice[]> {
  switch (definition.type) {
    case 'query':
      return asked(definition, known, range);
    case 'custom':
    case 'interval':
      return listed(textOf(definition));
    case 'constant':
    case 'textbox':
      return [{ text: textOf(definition), value: textOf(definition) }];
    case 'datasource':
      return [{ text: capitalize(textOf(definition)), value: textOf(definition) }];
    default:
      throw new Error(`variable ${definition.name}: unknown type ${definition.type}`);
  }
}

const textOf = ({ query }: Definition): string => (typeof query === 'string' ? query : (query?.query ?? ''));

/** `a, b` or `Today : day, Week : week` */
function listed(text: string): Choice[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean)
    .map((one) => {
      const [text, value = text] = one.split(/\s+:\s+/);
      return { text, value };
    });
}

async function asked(definition: Definition, known: Variables, range: TimeRange): Promise<Choice[]> {
  const query = known.query(textOf(definition));
  const window = { start: String(range.from.unix()), end: String(range.to.unix()) };
  const label = query.match(/^label_values\((?:(.+),\s*)?(\w+)\)\s*$/s);
  const result = query.match(/^query_result\((.+)\)\s*$/s);
  let found: string[];
  if (label) {
    const match: Record<string, string> = label[1] ? { 'match[]': label[1].trim() } : {};
    found = await api<string[]>(`label/${label[2]}/values`, { ...window, ...match });
  } else if (result) {
    const answer = await api<{ result: Array<{ metric: Record<string, string>; value: [number, string] }> }>('query', {
      query: result[1],
      time: window.end,
    });
    found = answer.result.map(({ metric: { __name__: family = '', ...labels }, value: [at, value] }) => {
      const pairs = Object.entries(labels).map(([name, text]) => `${name}="${text}"`);
      return `${family}{${pairs.join(',')}} ${value} ${at * 1000}`;
    });
  } else {
    throw new Error(`variable ${definition.name}: unknown query ${query}`);
  }
  return sorted(filtered(found, definition.regex), definition.sort ?? 0);
}

function filtered(values: string[], regex: string | undefined): Choice[] {
  if (!regex) {
    return values.map((value) => ({ text: value, value }));
  }
  const [, body, flags] = regex.match(/^\/(.*)\/(\w*)$/s) ?? [null, regex, ''];
  const pattern = new RegExp(body, flags.replace('g', ''));
  const found = values.flatMap((value) => {
    const match = value.match(pattern);
    if (!match) {
      return [];
    }
    const picked = match.groups?.value ?? match[1] ?? match[0];
    return [{ text: match.groups?.text ?? picked, value: picked }];
  });
  return found.filter(({ value }, at) => found.findIndex((other) => other.value === value) === at);
}

/** 0 as given; 1, 2 by name; 3, 4 by number; 5, 6 by name, case aside; 7, 8 naturally. Even ones the other way. */
function sorted(choices: Choice[], order: number): Choice[] {
  if (!order) {
    return choices;
  }
  const numeric = order === 3 || order === 4 || order > 6;
  const upwards = [...choices].sort((a, b) => a.text.localeCompare(b.text, 'en', { numeric }));
  return order % 2 ? upwards : upwards.reverse();
}

/** What is chosen for each variable: by `wanted` (name -> values), else as saved in the dashboard, else All or the first. */
export async function choose(
  definitions: Definition[],
  wanted: Record<string, string[]>,
  range: TimeRange
): Promise<Variables> {
  const strange = Object.keys(wanted).filter((name) => !definitions.some((one) => one.name === name));
  if (strange.length) {
    throw new Error(`the dashboard has no variable ${strange.join(', ')}`);
  }
  const chosen: Chosen[] = [];
  for (const definition of definitions.filter(({ type }) => type !== 'adhoc')) {
    const options = await choicesOf(definition, new Variables(chosen, range), range);
    chosen.push(picked(definition, options, wanted[definition.name]));
  }
  return new Variables(chosen, range);
}

function picked(definition: Definition, options: Choice[], wanted: string[] | undefined): Chosen {
  const saved = [definition.current?.value ?? []].flat().filter((value) => value !== '');
  const named = wanted?.map((text) => options.find((one) => one.text === text)?.value ?? text);
  const values = named ?? (definition.type === 'datasource' ? [] : saved);
  const all = values.some((value) => value === ALL || value === 'All');
  if (all || (!values.length && definition.includeAll)) {
    return { definition, options, values: [], all: true };
  }
  return { definition, options, all: false, values: values.length ? values : options.slice(0, 1).map(({ value }) => value) };
}
