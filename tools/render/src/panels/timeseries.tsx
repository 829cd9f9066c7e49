/** The timeseries panel: Grafana's uPlot chart, with the dashboard's annotations drawn over it. */
import { type DataFrame, FieldType } from '@grafana/data';
import { TimeSeries, type UPlotConfigBuilder } from '@grafana/ui';
import { type Annotation, type Drawing } from './panel';

const LEGEND = { displayMode: 'list', placement: 'bottom', calcs: [], showLegend: true };
const SHADE = '1a'; // a tenth, as the last byte of a colour

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
      const left = plot.valToPos(from, 'x', true);
      const right = plot.valToPos(to, 'x', true);
      ctx.fillStyle = color + SHADE;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.strokeStyle = color;
      ctx.setLineDash([5, 5]);
      for (const at of to > from ? [left, right] : [left]) {
        ctx.beginPath();
        ctx.moveTo(at, bbox.top);
        ctx.lineTo(at, bbox.top + bbox.height);
        ctx.stroke();
      }
    }
    ctx.restore();
  });
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
