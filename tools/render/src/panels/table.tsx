/** The table panel: Grafana's own table, with the footer of older dashboard files where one is asked for. */
import { type DataFrame } from '@grafana/data';
import { TableNG } from '@grafana/ui/unstable';
import { type Drawing } from './panel';

/** Before Grafana 12.2 the footer was an option of the panel; it is one of each field now. */
function footed(frame: DataFrame, footer: { show?: boolean; reducer?: string[]; fields?: string[] } | undefined): DataFrame {
  if (!footer?.show) {
    return frame;
  }
  const fields = frame.fields.map((field) => {
    const meant = !footer.fields?.length || footer.fields.includes(field.name);
    const custom = { ...field.config.custom, footer: { reducers: meant ? footer.reducer : [] } };
    return { ...field, config: { ...field.config, custom } };
  });
  return { ...frame, fields };
}

export function Rows({ frames, options, width, height, range, fieldConfig }: Drawing) {
  return (
    <TableNG
      data={footed(frames[options.frameIndex ?? 0], options.footer)}
      width={width}
      height={height}
      noHeader={options.showHeader === false}
      showTypeIcons={options.showTypeIcons}
      cellHeight={options.cellHeight ?? 'sm'}
      sortBy={options.sortBy}
      enablePagination={options.enablePagination ?? options.footer?.enablePagination}
      timeRange={range}
      fieldConfig={fieldConfig}
      resizable
      structureRev={1}
    />
  );
}
