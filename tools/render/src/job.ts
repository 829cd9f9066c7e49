/** What render.mjs asks of the page, and what the page answers: both sides of the one seam between them. */
import { type DataTransformerConfig, type FieldConfigSource } from '@grafana/data';
import { type Target } from './frames';
import { type Definition } from './variables';

export interface Panel {
  id?: number;
  type: string;
  title?: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  options?: Record<string, unknown>;
  fieldConfig?: Partial<FieldConfigSource>;
  transformations?: DataTransformerConfig[];
  transparent?: boolean;
  interval?: string;
  maxDataPoints?: number;
  timeFrom?: string;
  timeShift?: string;
  repeat?: string;
  collapsed?: boolean;
  panels?: Panel[];
  libraryPanel?: unknown;
}
export interface Link {
  title: string;
  type: 'link' | 'dashboards';
  icon?: string;
  tags?: string[];
  asDropdown?: boolean;
  placement?: string;
}
export interface AnnotationQuery {
  name: string;
  enable?: boolean;
  hide?: boolean;
  builtIn?: number;
  expr?: string;
  target?: { expr?: string };
  iconColor?: string;
  useValueForTime?: boolean | string;
  step?: string;
}
export interface Dashboard {
  uid: string;
  title: string;
  tags?: string[];
  panels: Panel[];
  templating?: { list?: Definition[] };
  annotations?: { list?: AnnotationQuery[] };
  links?: Link[];
  refresh?: string;
  time?: { from: string; to: string };
}
export interface Job {
  dashboard: Dashboard;
  /** Title and tags of the dashboards beside this one, for links by tag. */
  siblings: Array<{ title: string; tags: string[] }>;
  theme: 'dark' | 'light';
  width: number;
  from: string;
  to: string;
  wanted: Record<string, string[]>;
  scrape: string;
  timeZone: string;
}
export interface Report {
  errors: string[];
  /** Panels, or single queries of a panel, without a row. */
  empty: string[];
}
