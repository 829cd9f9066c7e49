/** From query results to what a panel draws: transformations, then field config and overrides. */
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  type DataFrame,
  type DataTransformerConfig,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  FieldConfigOptionsRegistry,
  type GrafanaTheme2,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  thresholdsOverrideProcessor,
  transformDataFrame,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';
import { uniqBy } from 'lodash';
import { lastValueFrom } from 'rxjs';
import { type Variables } from './variables';

const STANDARD: Record<string, unknown> = {
  unit: unitOverrideProcessor,
  min: numberOverrideProcessor,
  max: numberOverrideProcessor,
  fieldMinMax: identityOverrideProcessor,
  decimals: numberOverrideProcessor,
  displayName: displayNameOverrideProcessor,
  noValue: identityOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
  mappings: valueMappingsOverrideProcessor,
  links: dataLinksOverrideProcessor,
  color: identityOverrideProcessor,
  filterable: identityOverrideProcessor,
};

/** What a new panel of Grafana starts with; a dashboard file leaves out what it does not change. */
const CUSTOM: Record<string, object> = {
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: 'none',
    showPoints: 'auto',
    pointSize: 5,
    spanNulls: false,
    stacking: { mode: 'none', group: 'A' },
    axisPlacement: 'auto',
    axisColorMode: 'text',
    scaleDistribution: { type: 'linear' },
    barAlignment: 0,
    barWidthFactor: 0.6,
    hideFrom: { legend: false, tooltip: false, viz: false },
    thresholdsStyle: { mode: 'off' },
  },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false, footer: { reducers: [] } },
};
const PALETTE = { timeseries: 'palette-classic', piechart: 'palette-classic' } as Record<string, string>;

type Process = FieldConfigPropertyItem['process'];

const property = (id: string, path: string, isCustom: boolean, process: unknown): FieldConfigPropertyItem =>
  ({
  id,
  path,
  name: id,
  isCustom,
  process: process as Process,
  shouldApply: () => true,
  editor: () => null,
  override: () => null,
});

export function prepare(): void {
  const items = Object.entries(STANDARD).map(([id, process]) => property(id, id, false, process));
  standardFieldConfigEditorRegistry.setInit(() => items);
  standardTransformersRegistry.setInit(() =>
    uniqBy(Object.values(standardTransformers), 'id').map((transformer) => ({
      id: transformer.id,
      name: transformer.name,
      transformation: () => Promise.resolve(transformer),
      editor: () => null,
      imageDark: '',
      imageLight: '',
    }))
  );
}

/** The options of a field that belong to one kind of panel: every `custom.*` that the panel's own config names. */
function registryFor(fieldConfig: FieldConfigSource): FieldConfigOptionsRegistry {
  const paths = new Set(Object.keys(fieldConfig.defaults.custom ?? {}));
  for (const { properties } of fieldConfig.overrides) {
    for (const { id } of properties) {
      if (id.startsWith('custom.')) {
        paths.add(id.slice('custom.'.length));
      } else if (!(id in STANDARD)) {
        throw new Error(`unknown property in an override: ${id}`);
      }
    }
  }
  const registry = new FieldConfigOptionsRegistry();
  for (const [id, process] of Object.entries(STANDARD)) {
    registry.register(property(id, id, false, process));
  }
  for (const path of paths) {
    registry.register(property(`custom.${path}`, path, true, identityOverrideProcessor));
  }
  return registry;
}

/** The field config with the defaults of its kind of panel. */
export function completed(kind: string, given: Partial<FieldConfigSource> | undefined): FieldConfigSource {
  const defaults = { color: { mode: PALETTE[kind] ?? 'thresholds' }, ...given?.defaults } as FieldConfigSource['defaults'];
  defaults.thresholds ??= { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }] } as never;
  defaults.custom = { ...structuredClone(CUSTOM[kind] ?? {}), ...defaults.custom };
  return { defaults, overrides: given?.overrides ?? [] };
}

export async function transformed(
  frames: DataFrame[],
  transformations: DataTransformerConfig[],
  variables: Variables
): Promise<DataFrame[]> {
  for (const { id } of transformations) {
    if (!standardTransformersRegistry.getIfExists(id)) {
      throw new Error(`unknown transformation: ${id}`);
    }
  }
  return lastValueFrom(transformDataFrame(transformations, frames, { interpolate: variables.replace }));
}

export function styled(
  frames: DataFrame[],
  fieldConfig: FieldConfigSource,
  theme: GrafanaTheme2,
  timeZone: string,
  variables: Variables
): DataFrame[] {
  const done = applyFieldOverrides({
    data: frames,
    fieldConfig,
    fieldConfigRegistry: registryFor(fieldConfig),
    replaceVariables: variables.replace,
    theme,
    timeZone,
  });
  cacheFieldDisplayNames(done); // the table reads its headings from there
  return done;
}
