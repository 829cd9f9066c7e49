/** Queries, asked as Grafana's data source asks them. */
import { type DataFrame, rangeUtil, type TimeRange } from '@grafana/data';
import { api } from './api';
import { type Answer, tableFrame, type Target, timeSeriesFrames } from './frames';
import { type Scope, seconds, type Variables } from './variables';

export interface Question {
  targets: Target[];
  range: TimeRange;
  /** Points that fit in the panel: its width in pixels unless the panel says. */
  points: number;
  interval?: string;
}

const MOST_POINTS = 11_000;

/** Milliseconds between two points. */
export function stepOf(range: TimeRange, points: number, least: string): number {
  const { intervalMs } = rangeUtil.calculateInterval(range, points, least);
  const span = range.to.valueOf() - range.from.valueOf();
  return Math.max(intervalMs, Math.ceil(span / MOST_POINTS / 1000) * 1000);
}

/** What `$__interval`, `$__rate_interval` and `$__range` stand for. */
export function timesOf(range: TimeRange, step: number, scrape: string): Scope {
  const scrapeMs = rangeUtil.intervalToMs(scrape);
  const span = Math.round((range.to.valueOf() - range.from.valueOf()) / 1000);
  const rate = Math.max(step + scrapeMs, 4 * scrapeMs);
  return {
    __interval: seconds(step / 1000),
    __interval_ms: String(step),
    __rate_interval: seconds(rate / 1000),
    __rate_interval_ms: String(rate),
    __range: `${span}s`,
    __range_s: String(span),
    __range_ms: String(span * 1000),
  };
}

/** Runs the targets of a panel; the frames come in the order of the targets. */
export async function ask(question: Question, variables: Variables, scrape: string): Promise<DataFrame[]> {
  const targets = question.targets.filter(({ hide }) => !hide);
  const tables = targets.filter(({ format }) => format === 'table').length;
  const answers = targets.map(async (target) => {
    try {
      return await askOne(target, question, variables, scrape, tables === 1);
    } catch (error) {
      throw new Error(`query ${target.refId}: ${(error as Error).message}`);
    }
  });
  return (await Promise.all(answers)).flat();
}

async function askOne(
  target: Target,
  { range, points, interval }: Question,
  variables: Variables,
  scrape: string,
  alone: boolean
): Promise<DataFrame[]> {
  if (target.expr === undefined) {
    throw new Error('not a Prometheus query');
  }
  const step = stepOf(range, points, variables.replace(target.interval || interval || scrape));
  const query = variables.query(target.expr, timesOf(range, step, scrape));
  const from = range.from.valueOf() / 1000;
  const to = range.to.valueOf() / 1000;
  const width = step / 1000;
  const answers: Answer[] = [];
  if (target.range || !target.instant) {
    const start = String(Math.floor(from / width) * width);
    const end = String(Math.floor(to / width) * width);
    answers.push(await api('query_range', { query, start, end, step: String(width) }));
  }
  if (target.instant) {
    answers.push(await api('query', { query, time: String(to) }));
  }
  return answers.flatMap((answer) =>
    target.format === 'table' ? [tableFrame(answer, target, alone)] : timeSeriesFrames(answer, target, step)
  );
}
