/** What every kind of panel is given. */
import { type DataFrame, type FieldConfigSource, type GrafanaTheme2, type TimeRange } from '@grafana/data';
import { type Variables } from '../variables';

export interface Drawing {
  /** With field config applied. */
  frames: DataFrame[];
  fieldConfig: FieldConfigSource;
  /** The panel's own options, as in the dashboard file. */
  options: any;
  width: number;
  height: number;
  range: TimeRange;
  timeZone: string;
  theme: GrafanaTheme2;
  variables: Variables;
  annotations: Annotation[];
}

export interface Annotation {
  /** Milliseconds. */
  from: number;
  to: number;
  color: string;
}
