/** The timeseries panel: Grafana's uPlot chart, with the dashboard's annotations drawn over it. */
import { type DataFrame, FieldType } from '@grafana/data';
import { TimeSeries, type UPlotConfigBuilder } from '@grafana/ui';
import type uPlot from 'uplot';
import { type Annotation, type Drawing } from './panel';

const LEGEND = { displayMode: 'list', placement: 'bottom', calcs: [], showLegend: true };
const SHADE = '1a'; // a tenth, as the last byte of a colour
const MARK = 5;

const inTime = (frame: DataFrame) =>
  frame.fields.some(({ type }) => type === FieldType.time) && frame.fields.some(({ type }) => type === FieldType.number);

const marked = new WeakSet<UPlotConfigBuilder>();

function mark(builder: UPlotConfigBuilder, annotations: Annotation[]): void {
  if (marked.has(builder)) {
    return;
  }
  marked.add(builder);
  builder.addHook('draw', (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const { from, to, color } of annotations) {
      const [left, right] = [from, to].map((at) => Math.min(plot.valToPos(at, 'x', true), bbox.left + bbox.width));
      region(plot, color, Math.max(left, bbox.left), right);
      for (const at of to > from ? [left, right] : [left]) {
        if (at >= bbox.left) {
          line(plot, color, at);
        }
      }
    }
    ctx.restore();
  });
}

/** A tint over the time, and a bar under it. */
function region({ ctx, bbox }: uPlot, color: string, left: number, right: number): void {
  ctx.fillStyle = color + SHADE;
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.fillStyle = color;
  ctx.fillRect(left, bbox.top + bbox.height, right - left, MARK * devicePixelRatio);
}

/** A dashed line, and a triangle under it. */
function line({ ctx, bbox }: uPlot, color: string, at: number): void {
  const foot = bbox.top + bbox.height;
  const size = MARK * devicePixelRatio;
  ctx.strokeStyle = ctx.fillStyle = color;
  ctx.lineWidth = 2;
  ctx.setLineDash([5, 5]);
  ctx.beginPath();
  ctx.moveTo(at, bbox.top);
  ctx.lineTo(at, foot);
  ctx.stroke();
  ctx.beginPath();
  ctx.moveTo(at, foot);
  ctx.lineTo(at + size, foot + size);
  ctx.lineTo(at - size, foot + size);
  ctx.fill();
}

export function Lines({ frames, options, width, height, range, timeZone, annotations }: Drawing) {
  return (
    <TimeSeries
      frames={frames.filter(inTime)}
      structureRev={1}
      width={width}
      height={height}
      timeRange={range}
      timeZone={timeZone}
      legend={{ ...LEGEND, ...options.legend }}
      options={options}
    >
      {(builder) => {
        mark(builder, annotations);
        return null;
      }}
    </TimeSeries>
  );
}
