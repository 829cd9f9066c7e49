/** The piechart panel. @grafana/ui has no pie: the arcs are drawn here, the legend is Grafana's. */
import { type FieldDisplay, formattedValueToString, getFieldDisplayValues } from '@grafana/data';
import { VizLayout, VizLegend, type VizLegendItem } from '@grafana/ui';
import { type Drawing } from './panel';

const PADDING = 16;

function arc(radius: number, inner: number, from: number, to: number): string {
  const point = (distance: number, turn: number) => {
    const angle = 2 * Math.PI * turn - Math.PI / 2;
    return `${(distance * Math.cos(angle)).toFixed(2)} ${(distance * Math.sin(angle)).toFixed(2)}`;
  };
  const end = Math.min(to, from + 0.99999); // an arc that ends where it begins is nothing
  const large = end - from > 0.5 ? 1 : 0;
  return [
    `M ${point(inner, from)} L ${point(radius, from)}`,
    `A ${radius} ${radius} 0 ${large} 1 ${point(radius, end)} L ${point(inner, end)}`,
    `A ${inner} ${inner} 0 ${large} 0 ${point(inner, from)} Z`,
  ].join(' ');
}

function label(slice: FieldDisplay, share: number, wanted: string[]): string[] {
  return wanted.map((part) => {
    const texts: Record<string, string> = {
      name: slice.display.title ?? '',
      value: formattedValueToString(slice.display),
      percent: `${(share * 100).toFixed(0)}%`,
    };
    return texts[part];
  });
}

export function Pie(drawing: Drawing) {
  const { frames, fieldConfig, options, theme, timeZone, variables, width, height } = drawing;
  const slices = getFieldDisplayValues({
    data: frames,
    fieldConfig,
    reduceOptions: { ...options.reduceOptions, calcs: options.reduceOptions?.calcs?.length ? options.reduceOptions.calcs : ['lastNotNull'] },
    replaceVariables: variables.replace,
    theme,
    timeZone,
  }).filter(({ display, field }) => Number.isFinite(display.numeric) && !(field.custom as any)?.hideFrom?.viz);
  if ((options.sort ?? 'desc') !== 'none') {
    const direction = options.sort === 'asc' ? 1 : -1;
    slices.sort((a, b) => direction * (a.display.numeric - b.display.numeric));
  }
  const sum = slices.reduce((total, { display }) => total + display.numeric, 0);
  const legend = { showLegend: true, displayMode: 'list', placement: 'bottom', values: [], ...options.legend };
  const items = slices.map((slice): VizLegendItem => {
    const share = sum ? slice.display.numeric / sum : 0;
    const values = legend.values.map((kind: string) =>
      kind === 'percent'
        ? { numeric: share * 100, text: `${(share * 100).toFixed(0)}%`, title: 'Percent' }
        : { ...slice.display, text: formattedValueToString(slice.display), prefix: '', suffix: '', title: 'Value' }
    );
    return { label: slice.display.title ?? '', color: slice.display.color, yAxis: 1, getDisplayValues: () => values };
  });
  return (
    <VizLayout
      width={width}
      height={height}
      legend={
        legend.showLegend && legend.displayMode !== 'hidden' ? (
          <VizLayout.Legend placement={legend.placement} width={legend.width}>
            <VizLegend items={items} placement={legend.placement} displayMode={legend.displayMode} />
          </VizLayout.Legend>
        ) : null
      }
    >
      {(width, height) => <Slices {...{ drawing, slices, sum, width, height }} />}
    </VizLayout>
  );
}

interface Drawn {
  drawing: Drawing;
  slices: FieldDisplay[];
  sum: number;
  width: number;
  height: number;
}

function Slices({ drawing: { options, theme }, slices, sum, width, height }: Drawn) {
  const radius = Math.max(0, Math.min(width, height) / 2 - PADDING);
  const inner = options.pieType === 'donut' ? radius * 0.6 : 0;
  let turn = 0;
  return (
    <svg width={width} height={height}>
      <g transform={`translate(${width / 2} ${height / 2})`}>
        {slices.map((slice, at) => {
          const share = sum ? slice.display.numeric / sum : 0;
          const from = turn;
          turn += share;
          const middle = 2 * Math.PI * (from + share / 2) - Math.PI / 2;
          const distance = inner ? (radius + inner) / 2 : radius * 0.65;
          const lines = share > 0.04 ? label(slice, share, options.displayLabels ?? []) : [];
          return (
            <g key={at}>
              <path d={arc(radius, inner, from, from + share)} fill={slice.display.color} stroke={theme.colors.background.primary} />
              <text
                transform={`translate(${distance * Math.cos(middle)} ${distance * Math.sin(middle) - (lines.length - 1) * 7})`}
                fill={theme.colors.getContrastText(slice.display.color ?? '#000')}
                fontSize={12}
                textAnchor="middle"
                dominantBaseline="middle"
              >
                {lines.map((line, at) => (
                  <tspan key={at} x={0} dy={at ? 14 : 0}>
                    {line}
                  </tspan>
                ))}
              </text>
            </g>
          );
        })}
      </g>
    </svg>
  );
}
