/** The renderer as it is run, with a stub in the place of Prometheus: `npm test` (needs Chromium; a minute). */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const RENDER = fileURLToPath(new URL('render.mjs', import.meta.url));
const room = mkdtempSync(join(tmpdir(), 'render-'));
let server;
let asked = [];

/** Two series for every query but `nothing`, which finds none, and `wrong(`, which is an error. */
function answer(url) {
  const { pathname, searchParams } = new URL(url, 'http://prometheus');
  const query = searchParams.get('query') ?? '';
  asked.push(query);
  if (query.includes('wrong(')) {
    return { status: 'error', error: 'parse error: wrong' };
  }
  if (pathname.endsWith('/values')) {
    return { status: 'success', data: ['a', 'b.c'] };
  }
  const [start, end, step] = ['start', 'end', 'step'].map((name) => Number(searchParams.get(name)));
  const times = step ? Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, at) => start + at * step) : [];
  const series = ['a', 'b.c'].map((team, at) => ({
    metric: { __name__: 'spend', team },
    ...(step ? { values: times.map((time) => [time, String(at + 1)]) } : { value: [end, String(at + 1)] }),
  }));
  return {
    status: 'success',
    data: { resultType: step ? 'matrix' : 'vector', result: query.includes('nothing') ? [] : series },
  };
}

const panel = (type, expr, more = {}) => ({
  type,
  title: `A ${type}`,
  gridPos: { x: 0, y: 0, w: 12, h: 8 },
  targets: [{ refId: 'A', expr, instant: type !== 'timeseries', format: type === 'table' ? 'table' : 'time_series' }],
  ...more,
});

/** Runs the program; gives its exit code, what it says on stderr, and the picture or nothing. */
function render(panels, ...more) {
  asked = [];
  const [board, out] = [join(room, 'board.json'), join(room, 'board.png')];
  rmSync(out, { force: true });
  const team = { name: 'team', type: 'query', query: 'label_values(spend, team)', multi: true, includeAll: true };
  writeFileSync(board, JSON.stringify({ uid: 'b', title: 'Board', panels, templating: { list: [team] } }));
  const prometheus = `http://127.0.0.1:${server.address().port}`;
  const line = [RENDER, '--prometheus', prometheus, '--dashboard', board, '--out', out, ...more];
  return new Promise((resolve) =>
    execFile(process.execPath, line, (error, _, stderr) =>
      resolve({ code: error?.code ?? 0, stderr, picture: existsSync(out) ? readFileSync(out) : undefined })
    )
  );
}

before(async () => {
  server = createServer((request, response) => response.end(JSON.stringify(answer(request.url))));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => {
  server.close();
  rmSync(room, { recursive: true });
});

test('a board of every type becomes a PNG as wide as asked, and panels without data are named', async () => {
  const kinds = ['stat', 'bargauge', 'timeseries', 'table', 'piechart'];
  const panels = kinds.map((kind) => panel(kind, 'sum(spend{team=~"$team"})'));
  const words = { type: 'text', title: 'Words', gridPos: panels[0].gridPos, options: { content: '**$team**' } };
  const empty = panel('stat', 'nothing', { title: 'Empty' });
  const { code, stderr, picture } = await render([...panels, words, empty], '--width', '900', '--theme', 'light');
  assert.deepEqual([code, stderr.trim()], [0, 'render: no data: Empty']);
  assert.equal(picture.readUInt32BE(16), 900);
});

test('variables and intervals are written into queries as Grafana writes them', async () => {
  const expr = 'rate(spend{team=~"$team"}[$__rate_interval]) + delta(spend[$__range])';
  const wanted = ['--var', 'team=a', '--var', 'team=b.c', '--from', 'now-2h', '--scrape', '30s'];
  const { code } = await render([panel('stat', expr)], ...wanted);
  assert.equal(code, 0);
  assert.ok(asked.includes('rate(spend{team=~"(a|b\\\\.c)"}[120s]) + delta(spend[7200s])'), asked.join('\n'));
});

for (const [what, broken, said] of [
  ['a query that fails', panel('stat', 'wrong('), 'A stat: query A: parse error: wrong'],
  ['an unknown type of panel', panel('geomap', 'spend'), 'A geomap: unknown type of panel: geomap'],
  [
    'an unknown transformation',
    panel('table', 'spend', { transformations: [{ id: 'juggle', options: {} }] }),
    'A table: unknown transformation: juggle',
  ],
]) {
  test(`${what} is an error, and there is no picture`, async () => {
    const { code, stderr, picture } = await render([broken]);
    assert.deepEqual([code, stderr.trim(), picture], [1, `render: ${said}`, undefined]);
  });
}

test('a server that does not answer is an error, and there is no picture', async () => {
  const { code, stderr, picture } = await render([panel('stat', 'spend')], '--prometheus', 'http://127.0.0.1:9');
  assert.equal(code, 1);
  assert.match(stderr, /^render: http:\/\/127\.0\.0\.1:9/m);
  assert.equal(picture, undefined);
});
