/** A Prometheus answer as Grafana's data frames. */
import { type DataFrame, type Field, FieldType, type Labels } from '@grafana/data';

export interface Target {
  refId: string;
  expr: string;
  instant?: boolean;
  range?: boolean;
  format?: string;
  legendFormat?: string;
  interval?: string;
  hide?: boolean;
  datasource?: { type?: string; uid?: string };
}

type Sample = [number, string];
interface Series {
  metric: Labels;
  value?: Sample;
  values?: Sample[];
}
export interface Answer {
  resultType: 'vector' | 'matrix' | 'scalar' | 'string';
  result: Series[] | Sample;
}

const number = (text: string): number => Number(text.replace(/^([+-]?)Inf$/, '$1Infinity'));

function seriesOf(answer: Answer): Series[] {
  if (answer.resultType === 'scalar') {
    return [{ metric: {}, value: answer.result as Sample }];
  }
  return answer.result as Series[];
}

/** The name of a series as the data source gives it; undefined leaves it to the labels (legend "Auto"). */
function nameOf(metric: Labels, { legendFormat, expr }: Target): string | undefined {
  if (legendFormat === '__auto') {
    return Object.keys(metric).length ? undefined : expr;
  }
  if (legendFormat) {
    return legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label: string) => metric[label] ?? '');
  }
  const { __name__: family = '', ...rest } = metric;
  const labels = Object.entries(rest).map(([label, value]) => `${label}="${value}"`);
  return family || labels.length ? `${family}{${labels.join(', ')}}` : expr;
}

/** One frame a series. `step` (milliseconds) lets the graph see where points are missing. */
export function timeSeriesFrames(answer: Answer, target: Target, step: number): DataFrame[] {
  return seriesOf(answer).map(({ metric, value, values = value ? [value] : [] }) => {
    const name = nameOf(metric, target);
    const fields: Field[] = [
      { name: 'Time', type: FieldType.time, config: { interval: step }, values: values.map(([at]) => at * 1000) },
      {
        name: metric.__name__ ?? 'Value',
        type: FieldType.number,
        labels: metric,
        config: name === undefined ? {} : { displayNameFromDS: name },
        values: values.map(([, text]) => number(text)),
      },
    ];
    return { refId: target.refId, name, fields, length: values.length };
  });
}

/** One frame with a column a label. `alone` is false when other targets of the panel are tables as well. */
export function tableFrame(answer: Answer, target: Target, alone: boolean): DataFrame {
  const rows = seriesOf(answer).flatMap(({ metric, value, values = value ? [value] : [] }) =>
    values.map(([at, text]) => ({ metric, at: at * 1000, value: number(text) }))
  );
  const labels = [...new Set(rows.flatMap(({ metric }) => Object.keys(metric).sort()))];
  const time: Field = { name: 'Time', type: FieldType.time, config: {}, values: rows.map(({ at }) => at) };
  const columns: Field[] = labels.map((label) => ({
    name: label,
    type: label === 'le' ? FieldType.number : FieldType.string,
    config: { filterable: true },
    values: rows.map(({ metric }) => (label === 'le' ? number(metric[label] ?? '') : (metric[label] ?? ''))),
  }));
  const amount: Field = {
    name: alone ? 'Value' : `Value #${target.refId}`,
    type: FieldType.number,
    config: {},
    values: rows.map(({ value }) => value),
  };
  return { refId: target.refId, fields: rows.length ? [time, ...columns, amount] : [], length: rows.length };
}
