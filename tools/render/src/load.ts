/** Everything a picture needs from Prometheus, fetched before anything is drawn. */
import { type DataFrame, dateMath, dateTime, type GrafanaTheme2, rangeUtil, type TimeRange } from '@grafana/data';
import { completed, styled, transformed } from './data';
import { type AnnotationQuery, type Job, type Panel, type Report } from './job';
import { alertsFor, type Listed } from './panels/alerts';
import { type Annotation } from './panels/panel';
import { type Answer } from './frames';
import { api } from './api';
import { ask, stepOf, timesOf } from './prometheus';
import { choose, type Variables } from './variables';

export const QUERIED = ['stat', 'bargauge', 'timeseries', 'table', 'piechart'];
const STILL = ['text', 'row', 'alertlist'];

export interface Filled {
  panel: Panel;
  fieldConfig: ReturnType<typeof completed>;
  frames: DataFrame[];
  range: TimeRange;
  listed?: Listed[];
  /** Shown where Grafana shows the time of a panel that differs from the dashboard's. */
  timeInfo?: string;
  error?: string;
}
export interface Loaded {
  range: TimeRange;
  variables: Variables;
  annotations: Annotation[];
  filled: Filled[];
  report: Report;
}

export function rangeOf(from: string, to: string, timeZone: string): TimeRange {
  const moment = (text: string, end: boolean) => {
    const found = dateMath.toDateTime(/^\d+$/.test(text) ? dateTime(Number(text)) : text, { roundUp: end, timezone: timeZone });
    if (!found?.isValid()) {
      throw new Error(`not a time: ${text}`);
    }
    return found;
  };
  return { from: moment(from, false), to: moment(to, true), raw: { from, to } };
}

function ownRange(panel: Panel, range: TimeRange, variables: Variables, timeZone: string): [TimeRange, string?] {
  const back = variables.replace(panel.timeFrom);
  const shift = variables.replace(panel.timeShift);
  let own = range;
  let told = '';
  if (back) {
    own = rangeOf(/^now/.test(back) ? back : `now-${back}`, 'now', timeZone);
    told = rangeUtil.describeTimeRange(own.raw as never);
  }
  if (shift) {
    const by = (at: TimeRange['from']) => dateMath.parseDateMath(`-${shift}`, dateTime(at))!;
    own = { from: by(own.from), to: by(own.to), raw: { from: by(own.from), to: by(own.to) } };
    told += ` timeshift -${shift}`;
  }
  return [own, told.trim() || undefined];
}

async function fill(panel: Panel, job: Job, theme: GrafanaTheme2, range: TimeRange, variables: Variables): Promise<Filled> {
  const fieldConfig = completed(panel.type, panel.fieldConfig);
  const [own, timeInfo] = ownRange(panel, range, variables, job.timeZone);
  const filled: Filled = { panel, fieldConfig, frames: [], range: own, timeInfo };
  try {
    if (![...QUERIED, ...STILL].includes(panel.type)) {
      throw new Error(`unknown type of panel: ${panel.type}`);
    }
    if (panel.repeat || panel.libraryPanel) {
      throw new Error('repeated and library panels are not drawn');
    }
    if (panel.type === 'alertlist') {
      filled.listed = await alertsFor(panel.options ?? {});
    }
    if (QUERIED.includes(panel.type)) {
      const points = panel.maxDataPoints ?? Math.floor((panel.gridPos.w / 24) * job.width);
      const question = { targets: panel.targets ?? [], range: own, points, interval: panel.interval };
      filled.frames = await ask(question, variables, job.scrape);
    }
  } catch (error) {
    filled.error = (error as Error).message;
  }
  return filled;
}

async function finish(filled: Filled, job: Job, theme: GrafanaTheme2, variables: Variables): Promise<void> {
  const { panel, fieldConfig } = filled;
  try {
    const frames = await transformed(filled.frames, panel.transformations ?? [], variables);
    filled.frames = styled(frames, fieldConfig, theme, job.timeZone, variables);
  } catch (error) {
    filled.error ??= (error as Error).message;
  }
}

function emptyOf({ panel, frames, error }: Filled): string[] {
  const title = panel.title || `panel ${panel.id}`;
  if (error || !QUERIED.includes(panel.type)) {
    return [];
  }
  const answered = new Set(frames.filter(({ length }) => length).map(({ refId }) => refId));
  const silent = (panel.targets ?? []).filter(({ refId, hide }) => !hide && !answered.has(refId));
  return answered.size ? silent.map(({ refId }) => `${title} (query ${refId})`) : [title];
}

async function annotationsOf(query: AnnotationQuery, job: Job, theme: GrafanaTheme2, range: TimeRange, variables: Variables) {
  const expr = query.target?.expr ?? query.expr;
  const step = stepOf(range, job.width, query.step || '60s');
  const color = theme.visualization.getColorByName(query.iconColor ?? 'blue');
  const answer = await api<Answer>('query_range', {
    query: variables.query(expr!, timesOf(range, step, job.scrape)),
    start: String(range.from.unix()),
    end: String(range.to.unix()),
    step: String(step / 1000),
  });
  const found: Annotation[] = [];
  for (const { values } of answer.result as Array<{ values: Array<[number, string]> }>) {
    let open: Annotation | undefined;
    for (const [at, text] of values) {
      if (query.useValueForTime === true || query.useValueForTime === 'on') {
        found.push({ from: Math.floor(Number(text)), to: Math.floor(Number(text)), color });
      } else if (!Number(text)) {
        open = undefined;
      } else if (open && at * 1000 - open.to <= step) {
        open.to = at * 1000;
      } else {
        open = { from: at * 1000, to: at * 1000, color };
        found.push(open);
      }
    }
  }
  const inside = ({ from, to }: Annotation) => to >= range.from.valueOf() && from <= range.to.valueOf();
  return found.filter(inside);
}

export async function load(job: Job, theme: GrafanaTheme2): Promise<Loaded> {
  const { dashboard } = job;
  const range = rangeOf(job.from, job.to, job.timeZone);
  const variables = await choose(dashboard.templating?.list ?? [], job.wanted, range);
  const filled = await Promise.all(dashboard.panels.map((panel) => fill(panel, job, theme, range, variables)));
  const empty = filled.flatMap(emptyOf);
  for (const one of filled) {
    await finish(one, job, theme, variables);
  }
  const queries = (dashboard.annotations?.list ?? []).filter(({ builtIn, enable }) => !builtIn && enable !== false);
  const annotations = await Promise.all(queries.map((query) => annotationsOf(query, job, theme, range, variables)));
  const errors = filled.flatMap(({ panel, error }) => (error ? [`${panel.title || `panel ${panel.id}`}: ${error}`] : []));
  return { range, variables, annotations: annotations.flat(), filled, report: { errors, empty } };
}
