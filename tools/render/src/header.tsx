/** The top of the page: title, variables, links and the time range. */
import { css } from '@emotion/css';
import { type GrafanaTheme2, rangeUtil } from '@grafana/data';
import { Icon, type IconName, useStyles2 } from '@grafana/ui';
import { type Job, type Link } from './job';
import { type Loaded } from './load';
import { type Chosen } from './variables';

const shown = ({ all, values, options }: Chosen): string =>
  all ? 'All' : values.map((value) => options.find((one) => one.value === value)?.text ?? value).join(' + ');

/** What a link by tag leads to: the dashboards that bear all its tags, but this one. */
function titlesOf(link: Link, job: Job): string[] {
  if (link.type === 'link' || link.asDropdown) {
    return [link.title];
  }
  const meant = job.siblings.filter(({ tags }) => (link.tags ?? []).every((tag) => tags.includes(tag)));
  return meant.map(({ title }) => title).filter((title) => title !== job.dashboard.title);
}

const ICONS: Record<string, IconName> = {
  'external link': 'external-link-alt',
  dashboard: 'apps',
  question: 'question-circle',
  info: 'info-circle',
  bolt: 'bolt',
  doc: 'file-alt',
  cloud: 'cloud',
};

export function Header({ job, loaded }: { job: Job; loaded: Loaded }) {
  const styles = useStyles2(stylesOf);
  const links = (job.dashboard.links ?? []).filter(({ placement }) => placement !== 'inControlsMenu');
  const variables = loaded.variables.chosen.filter(({ definition }) => definition.hide !== 2);
  return (
    <header className={styles.header}>
      <div className={styles.bar}>
        <h1 className={styles.title}>{job.dashboard.title}</h1>
        <span className={styles.box}>
          <Icon name="clock-nine" /> {rangeUtil.describeTimeRange({ from: job.from, to: job.to }, job.timeZone)}
        </span>
        <span className={styles.box}>
          <Icon name="sync" /> {job.dashboard.refresh || 'Refresh'}
        </span>
      </div>
      <div className={styles.bar}>
        {variables.map((chosen) => (
          <span key={chosen.definition.name} className={styles.variable}>
            {chosen.definition.hide !== 1 && (
              <label className={styles.label}>{chosen.definition.label || chosen.definition.name}</label>
            )}
            <span className={styles.box}>
              {shown(chosen)} <Icon name="angle-down" />
            </span>
          </span>
        ))}
        <span className={styles.rest} />
        {links.flatMap((link) =>
          titlesOf(link, job).map((title) => (
            <span key={title} className={styles.link}>
              <Icon name={link.asDropdown ? 'bars' : (ICONS[link.icon ?? ''] ?? (link.type === 'link' ? 'link' : 'apps'))} />{' '}
              {title}
            </span>
          ))
        )}
      </div>
    </header>
  );
}

const stylesOf = (theme: GrafanaTheme2) => {
  const box = {
    display: 'inline-flex',
    alignItems: 'center',
    gap: theme.spacing(0.5),
    height: theme.spacing(4),
    padding: theme.spacing(0, 1),
    borderRadius: theme.shape.radius.default,
    whiteSpace: 'nowrap' as const,
  };
  return {
    header: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(1), paddingBottom: theme.spacing(2) }),
    bar: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1), alignItems: 'center' }),
    title: css({ ...theme.typography.h3, flexGrow: 1, margin: 0 }),
    rest: css({ flexGrow: 1 }),
    variable: css({ display: 'inline-flex' }),
    label: css({
      ...box,
      margin: 0,
      background: theme.colors.background.secondary,
      color: theme.colors.text.primary,
      fontSize: theme.typography.bodySmall.fontSize,
      fontWeight: theme.typography.fontWeightMedium,
      border: `1px solid ${theme.components.input.borderColor}`,
      borderRight: 'none',
    }),
    box: css({
      ...box,
      background: theme.components.input.background,
      border: `1px solid ${theme.components.input.borderColor}`,
    }),
    link: css({ ...box, background: theme.colors.secondary.main, color: theme.colors.secondary.text }),
  };
};
