/** Panels that reduce each series to one value: stat and bargauge. */
import {
  type FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  type DisplayValueAlignmentFactors,
  VizOrientation,
} from '@grafana/data';
import { BarGaugeNamePlacement } from '@grafana/schema';
import { BarGauge, BigValue, BigValueGraphMode, VizRepeater } from '@grafana/ui';
import { type Drawing } from './panel';

function valuesOf({ frames, fieldConfig, options, theme, timeZone, variables }: Drawing, sparkline: boolean) {
  const given = options.reduceOptions ?? {};
  return getFieldDisplayValues({
    data: frames,
    fieldConfig,
    reduceOptions: { ...given, calcs: given.calcs ?? ['lastNotNull'] },
    replaceVariables: variables.replace,
    theme,
    timeZone,
    sparkline,
    percentChange: options.showPercentChange,
  });
}

/** A lone value needs no name: the panel's title is above it. */
function unnamed(value: FieldDisplay, count: number, { fieldConfig }: Drawing) {
  return count === 1 && !fieldConfig.defaults.displayName ? { ...value.display, title: undefined } : value.display;
}

export function Stat(drawing: Drawing) {
  const { options, theme, range, width, height } = drawing;
  const graphMode = options.graphMode ?? BigValueGraphMode.Area;
  return (
    <VizRepeater<FieldDisplay, DisplayValueAlignmentFactors>
      getValues={() => valuesOf(drawing, graphMode !== BigValueGraphMode.None)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline && { ...value.sparkline, timeRange: range }}
          colorMode={options.colorMode ?? 'value'}
          graphMode={graphMode}
          justifyMode={options.justifyMode ?? 'auto'}
          textMode={options.textMode ?? 'auto'}
          percentChangeColorMode={options.percentChangeColorMode}
          alignmentFactors={alignmentFactors}
          text={options.text}
          width={width}
          height={height}
          theme={theme}
          disableWideLayout={options.wideLayout === false}
        />
      )}
      width={width}
      height={height}
      source={drawing.frames}
      itemSpacing={3}
      renderCounter={0}
      autoGrid
      orientation={options.orientation ?? VizOrientation.Auto}
    />
  );
}

export function Bars(drawing: Drawing) {
  const { options, theme, width, height } = drawing;
  const manual = options.sizing === 'manual';
  return (
    <VizRepeater<FieldDisplay, DisplayValueAlignmentFactors>
      getValues={() => valuesOf(drawing, false)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, count, alignmentFactors, orientation }) => (
        <BarGauge
          value={unnamed(value, count, drawing)}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex!)}
          text={options.text}
          orientation={orientation}
          displayMode={options.displayMode ?? 'gradient'}
          showUnfilled={options.showUnfilled ?? true}
          valueDisplayMode={options.valueMode ?? 'color'}
          namePlacement={options.namePlacement ?? BarGaugeNamePlacement.Auto}
          itemSpacing={10}
          lcdCellWidth={options.displayMode === 'lcd' ? 12 : undefined}
          alignmentFactors={alignmentFactors}
          width={width}
          height={height}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      minVizWidth={manual ? options.minVizWidth : 8}
      minVizHeight={manual ? options.minVizHeight : 16}
      maxVizHeight={manual ? options.maxVizHeight : 300}
      source={drawing.frames}
      itemSpacing={options.displayMode === 'lcd' ? 2 : 10}
      renderCounter={0}
      orientation={options.orientation ?? VizOrientation.Auto}
    />
  );
}
