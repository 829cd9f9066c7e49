/** The alertlist panel: the rules that the Prometheus server evaluates, in the states that the panel asks for. */
import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { Icon } from '@grafana/ui';
import { api } from '../api';
import { type Drawing } from './panel';

interface Instance {
  state: 'firing' | 'pending' | 'inactive';
  activeAt: string;
  labels: Record<string, string>;
}
interface Rule {
  name: string;
  type: string;
  state: 'firing' | 'pending' | 'inactive';
  health: string;
  alerts: Instance[];
}
export interface Listed {
  name: string;
  state: string;
  since: number;
  instances: number;
}

/** The rules to list, those that fire first. */
export async function alertsFor(options: any): Promise<Listed[]> {
  const { groups } = await api<{ groups: Array<{ rules: Rule[] }> }>('rules', { type: 'alert' });
  const filter = options.stateFilter ?? { firing: true, pending: true, error: true };
  const wanted = (rule: Rule) =>
    (rule.state === 'inactive' ? filter.normal : filter[rule.state]) || (filter.error && rule.health === 'err');
  const rules = groups.flatMap((group) => group.rules).filter(wanted);
  const listed = rules
    .filter(({ name }) => !options.alertName || name.includes(options.alertName))
    .map(({ name, state, alerts }) => ({
      name,
      state: state === 'inactive' ? 'normal' : state,
      since: Math.min(...alerts.map(({ activeAt }) => Date.parse(activeAt))),
      instances: alerts.length,
    }));
  const order = ['firing', 'pending', 'normal'];
  listed.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.name.localeCompare(b.name));
  return listed.slice(0, options.maxItems ?? 20);
}

function age(since: number, now: number): string {
  const minutes = Math.max(0, Math.round((now - since) / 60_000));
  const hours = Math.floor(minutes / 60);
  return minutes < 60 ? `${minutes}m` : hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

export function Alerts({ listed, drawing: { options, theme, range } }: { listed: Listed[]; drawing: Drawing }) {
  const styles = stylesOf(theme);
  if (options.viewMode === 'stat') {
    return <div className={styles.count}>{listed.reduce((sum, { instances }) => sum + instances, 0)}</div>;
  }
  if (!listed.length) {
    return <div className={styles.none}>No alerts matching filters</div>;
  }
  const colors: Record<string, string> = { firing: theme.colors.error.text, pending: theme.colors.warning.text };
  return (
    <ol className={styles.list}>
      {listed.map(({ name, state, since, instances }) => (
        <li key={name} className={styles.item}>
          <Icon
            name={state === 'normal' ? 'heart' : 'exclamation-circle'}
            size="lg"
            style={{ color: colors[state] ?? theme.colors.success.text }}
          />
          <div>
            <div className={styles.name}>{name}</div>
            <div className={styles.state}>
              <b style={{ color: colors[state] ?? theme.colors.success.text }}>
                {state[0].toUpperCase() + state.slice(1)}
              </b>
              {instances > 0 && ` for ${age(since, range.to.valueOf())}`}
              {instances > 0 && ` · ${instances} ${instances === 1 ? 'instance' : 'instances'}`}
            </div>
          </div>
        </li>
      ))}
    </ol>
  );
}

const stylesOf = (theme: GrafanaTheme2) => ({
  list: css({ listStyle: 'none', height: '100%', overflow: 'auto', margin: 0 }),
  item: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(1.5),
    padding: theme.spacing(0.5, 1),
    marginBottom: theme.spacing(0.5),
    background: theme.colors.background.secondary,
    borderRadius: theme.shape.radius.default,
  }),
  name: css({ fontWeight: theme.typography.fontWeightMedium }),
  state: css({ fontSize: theme.typography.bodySmall.fontSize, color: theme.colors.text.secondary }),
  count: css({ display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center', fontSize: 64 }),
  none: css({ display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center' }),
});
