#!/usr/bin/env node
/**
 * A Grafana dashboard (classic JSON) with live data from Prometheus, drawn with Grafana's UI library, as a PNG.
 *   render.mjs --prometheus URL --dashboard FILE --out FILE [--theme dark|light] [--width 1600] [--scale 1]
 *              [--from now-6h] [--to now] [--timezone UTC] [--scrape 15s] [--var name=value]...
 * Exit 1, and no picture, when a panel cannot be drawn, a query fails or the browser complains.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const PATIENCE_MS = 60_000;
const FLAGS = [
  '--no-sandbox', // a container's root has no sandbox to enter; the page is our own
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><link rel="stylesheet" href="/main.css">
<style>body { margin: 0 }</style><div id="page"></div><script type="module" src="/main.js"></script>`;
const FONTS = {
  'inter/Inter-Regular.woff2': 'inter/files/inter-latin-400-normal.woff2',
  'inter/Inter-Medium.woff2': 'inter/files/inter-latin-500-normal.woff2',
  'inter/Inter-Italic.woff2': 'inter/files/inter-latin-400-italic.woff2',
  'inter/Inter-MediumItalic.woff2': 'inter/files/inter-latin-500-italic.woff2',
};
const ROBOTO = 'roboto-mono/files/roboto-mono-latin-400-normal.woff2';

function fail(...lines) {
  for (const line of lines) {
    console.error(`render: ${line}`);
  }
  process.exit(1);
}

function asked() {
  const text = (value) => ({ type: 'string', ...(value && { default: value }) });
  const { values } = parseArgs({
    options: {
      prometheus: text('http://127.0.0.1:9090'),
      dashboard: text(),
      out: text(),
      theme: text('dark'),
      width: text('1600'),
      scale: text('1'),
      from: text(),
      to: text(),
      timezone: text('UTC'),
      scrape: text('15s'),
      var: { type: 'string', multiple: true, default: [] },
    },
  });
  if (!values.dashboard || !values.out || !['dark', 'light'].includes(values.theme) || !Number(values.width)) {
    fail('usage: render.mjs --dashboard FILE --out FILE [--prometheus URL] [--theme dark|light] [--width 1600] ...');
  }
  return values;
}

const boardAt = (path) => JSON.parse(readFileSync(path, 'utf8'));

function jobOf(values) {
  const dashboard = boardAt(values.dashboard);
  const folder = dirname(values.dashboard);
  const beside = readdirSync(folder).filter((name) => name.endsWith('.json'));
  const wanted = {};
  for (const [name, value] of values.var.map((one) => one.split(/=(.*)/s))) {
    (wanted[name] ??= []).push(value);
  }
  return {
    dashboard,
    siblings: beside.map((name) => boardAt(join(folder, name))).map(({ title, tags = [] }) => ({ title, tags })),
    theme: values.theme,
    width: Number(values.width),
    from: values.from ?? dashboard.time?.from ?? 'now-6h',
    to: values.to ?? dashboard.time?.to ?? 'now',
    wanted,
    scrape: values.scrape,
    timeZone: values.timezone,
  };
}

/** The page and all it loads, from memory. */
async function bundled() {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [join(HERE, 'src/main.tsx')],
    bundle: true,
    write: false,
    outdir: '/page',
    format: 'esm',
    splitting: true,
    jsx: 'automatic',
    logLevel: 'error',
    minify: true,
    define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    loader: { '.svg': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl' },
  });
  return new Map(outputFiles.map(({ path, contents }) => [`/${basename(path)}`, contents]));
}

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };

/** Answers the page: its code, Grafana's icons and fonts, and, under /api, what Prometheus says. */
function serve(files, job, prometheus) {
  const own = new Map([...files, ['/job.json', JSON.stringify(job)]]);
  own.set('/', PAGE);
  const answer = async (path, query) => {
    if (path.startsWith('/api/')) {
      const response = await fetch(new URL(path + query, prometheus));
      return [200, '.json', Buffer.from(await response.arrayBuffer())];
    }
    if (own.has(path)) {
      return [200, path === '/' ? '.html' : path.slice(path.lastIndexOf('.')), own.get(path)];
    }
    const icon = path.match(/^\/public\/build\/(img\/icons\/[\w/-]+\.svg)$/);
    const font = path.match(/^\/public\/fonts\/(.+)$/);
    const file = icon
      ? `@grafana/ui/dist/public/${icon[1]}`
      : font && `@fontsource/${FONTS[font[1]] ?? (font[1].startsWith('roboto/') ? ROBOTO : '')}`;
    return [200, path.slice(path.lastIndexOf('.')), await readFile(join(HERE, 'node_modules', file))];
  };
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url, 'http://page');
    answer(pathname, search).then(
      ([status, kind, body]) => response.writeHead(status, { 'content-type': TYPES[kind] ?? 'text/html' }).end(body),
      (error) =>
        pathname.startsWith('/api/')
          ? response.end(JSON.stringify({ status: 'error', error: `${prometheus}: ${error.cause?.message ?? error.message}` }))
          : response.writeHead(404).end()
    );
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function chromium() {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const folders = (process.env.PATH ?? '').split(':');
  const places = [process.env.CHROMIUM, ...folders.flatMap((folder) => names.map((name) => join(folder, name)))];
  const found = places.find((path) => path && existsSync(path));
  return found ?? fail('no Chromium on the PATH: apt-get install chromium, or name one in CHROMIUM');
}

/** Draws the page; gives its report, what the browser complained of, and the picture. */
async function picture(address, { width, timeZone, theme }, scale) {
  const { chromium: driver } = await import('playwright-core');
  const browser = await driver.launch({ executablePath: chromium(), args: FLAGS });
  try {
    const page = await browser.newPage({
      viewport: { width, height: 1000 },
      deviceScaleFactor: scale,
      timezoneId: timeZone,
      locale: 'en-US',
      colorScheme: theme,
    });
    const complaints = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('response', (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`));
    const told = new Promise((resolve, reject) => {
      page.exposeFunction('tell', resolve).then(() => page.goto(address)).catch(reject);
    });
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error('the page did not finish')), PATIENCE_MS).unref());
    const report = await Promise.race([told, late]).catch((error) => ({ errors: [error.message], empty: [] }));
    if (report.errors.length) {
      return { report, complaints };
    }
    // The whole page at once: what is below the fold is not drawn by Grafana's table.
    await page.setViewportSize({ width, height: await page.evaluate(() => Math.ceil(document.body.scrollHeight)) });
    await page.waitForLoadState('networkidle');
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    return { report, complaints, png: await page.screenshot({ animations: 'disabled' }) };
  } finally {
    await browser.close();
  }
}

const values = asked();
const job = jobOf(values);
const server = await serve(await bundled(), job, values.prometheus);
const { report, complaints, png } = await picture(`http://127.0.0.1:${server.address().port}/`, job, Number(values.scale));
server.close();
for (const title of report.empty) {
  console.error(`render: no data: ${title}`);
}
if (report.errors.length || complaints.length) {
  fail(...report.errors, ...complaints.map((text) => `browser: ${text}`));
}
await mkdir(dirname(values.out), { recursive: true });
await writeFile(values.out, png);
console.log(`${values.out}: ${job.dashboard.title}, ${report.empty.length} without data`);
