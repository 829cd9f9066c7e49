/** The page that becomes the picture: Grafana's grid of panels under a header. */
import { css } from '@emotion/css';
import { createTheme, type GrafanaTheme2, setTimeZoneResolver, ThemeContext } from '@grafana/data';
import { GlobalStyles, Icon, PanelChrome } from '@grafana/ui';
import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { prepare } from './data';
import { Header } from './header';
import { type Job, type Panel, type Report } from './job';
import { type Filled, load, type Loaded, QUERIED } from './load';
import { Alerts } from './panels/alerts';
import { type Drawing } from './panels/panel';
import { Pie } from './panels/pie';
import { Rows } from './panels/table';
import { Words } from './panels/text';
import { Lines } from './panels/timeseries';
import { Bars, Stat } from './panels/values';

const CELL = 30;
const GAP = 8;
const MARGIN = 16;

const KINDS: Record<string, (drawing: Drawing) => React.ReactNode> = {
  stat: Stat,
  bargauge: Bars,
  timeseries: Lines,
  table: Rows,
  piechart: Pie,
  text: Words,
};
/** These show "No data" by themselves, as a value. */
const TELL = ['stat', 'bargauge'];

function place({ gridPos: { x, y, w, h } }: Panel, width: number) {
  const column = (width - 2 * MARGIN - 23 * GAP) / 24;
  return {
    left: Math.round(x * (column + GAP)),
    top: y * (CELL + GAP),
    width: Math.round(w * column + (w - 1) * GAP),
    height: h * CELL + (h - 1) * GAP,
  };
}

function Content({ filled, ...rest }: { filled: Filled } & Omit<Drawing, 'frames' | 'fieldConfig' | 'options'>) {
  const { panel, frames, fieldConfig, listed } = filled;
  const drawing: Drawing = { ...rest, frames, fieldConfig, options: panel.options ?? {} };
  if (listed) {
    return <Alerts listed={listed} drawing={drawing} />;
  }
  const nothing = QUERIED.includes(panel.type) && !frames.some(({ length }) => length);
  if (filled.error || (nothing && !TELL.includes(panel.type))) {
    return <div className={styles.nothing}>{filled.error ?? fieldConfig.defaults.noValue ?? 'No data'}</div>;
  }
  const Kind = KINDS[panel.type];
  return <Kind {...drawing} />;
}

function Framed({ filled, job, loaded, theme }: { filled: Filled; job: Job; loaded: Loaded; theme: GrafanaTheme2 }) {
  const { panel, range, timeInfo, error } = filled;
  const { left, top, width, height } = place(panel, job.width);
  const title = loaded.variables.replace(panel.title);
  const spot = { position: 'absolute', left, top, width, height } as const;
  if (panel.type === 'row') {
    return (
      <div style={spot} className={styles.row}>
        <Icon name={panel.collapsed ? 'angle-right' : 'angle-down'} /> {title}
        {panel.collapsed && <small> ({panel.panels?.length ?? 0} panels)</small>}
      </div>
    );
  }
  return (
    <div style={spot}>
      <PanelChrome
        width={width}
        height={height}
        title={title}
        description={panel.description && loaded.variables.replace(panel.description)}
        displayMode={panel.transparent ? 'transparent' : 'default'}
        padding={panel.type === 'table' ? 'none' : 'md'}
        titleItems={timeInfo && <PanelChrome.TitleItem>{timeInfo}</PanelChrome.TitleItem>}
        statusMessage={error}
        hoverHeader={!title}
      >
        {(width, height) => (
          <Content
            filled={filled}
            width={width}
            height={height}
            range={range}
            timeZone={job.timeZone}
            theme={theme}
            variables={loaded.variables}
            annotations={loaded.annotations}
          />
        )}
      </PanelChrome>
    </div>
  );
}

function Page({ job, loaded, theme }: { job: Job; loaded: Loaded; theme: GrafanaTheme2 }) {
  const rows = Math.max(...job.dashboard.panels.map(({ gridPos: { y, h } }) => y + h));
  useEffect(() => window.tell(loaded.report), [loaded]);
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ width: job.width, padding: MARGIN, background: theme.colors.background.canvas }}>
        <Header job={job} loaded={loaded} />
        <main style={{ position: 'relative', height: rows * (CELL + GAP) - GAP }}>
          {loaded.filled.map((filled, at) => (
            <Framed key={at} {...{ filled, job, loaded, theme }} />
          ))}
        </main>
      </div>
    </ThemeContext.Provider>
  );
}

const styles = {
  nothing: css({ display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center', textAlign: 'center' }),
  row: css({ display: 'flex', alignItems: 'center', gap: 4, fontSize: 16, fontWeight: 500 }),
};

declare global {
  interface Window {
    tell(report: Report): void;
  }
}

/** The charts write their axes once: the letters must be there before. */
async function fonts() {
  const faces = [
    ['Inter', 'inter/Inter-Regular', '400'],
    ['Inter', 'inter/Inter-Medium', '500'],
    ['Roboto Mono', 'roboto/regular', '400'],
  ].map(([family, file, weight]) => new FontFace(family, `url(/public/fonts/${file}.woff2)`, { weight }));
  for (const face of await Promise.all(faces.map((face) => face.load()))) {
    document.fonts.add(face);
  }
}

async function start() {
  const job = (await (await fetch('/job.json')).json()) as Job;
  const theme = createTheme({ colors: { mode: job.theme } });
  setTimeZoneResolver(() => job.timeZone);
  prepare();
  const [loaded] = await Promise.all([load(job, theme), fonts()]);
  createRoot(document.getElementById('page')!).render(<Page {...{ job, loaded, theme }} />);
}

start().catch((error: Error) => window.tell({ errors: [error.message], empty: [] }));
