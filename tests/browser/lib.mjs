// Shared by the scripts: JSON in on standard input or as the first argument, one JSON document out, and a browser
// that talks to nobody but the page's own server.
import { readFileSync, existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

export function input() {
  return JSON.parse(process.argv[2] ?? readFileSync(0, 'utf8'));
}

// Runs a script: what it answers is printed as JSON; a failure is a sentence and exit code 1.
export async function main(run) {
  try {
    process.stdout.write(`${JSON.stringify(await run(input()))}\n`);
  } catch (error) {
    process.stderr.write(`${error?.stack ?? error}\n`);
    process.exitCode = 1;
  }
}

function browserPath() {
  const known = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/snap/bin/chromium', '/usr/bin/google-chrome'];
  const path = known.find((candidate) => candidate && existsSync(candidate));
  if (!path) throw new Error('no Chromium was found: install the package `chromium`, or set CHROMIUM=/path/to/it');
  return path;
}

// Starts the browser.
export function launch(more = []) {
  return chromium.launch({
    executablePath: browserPath(),
    headless: true,
    args: [
      // Tests run as root and in containers, where Chromium's own sandbox does not start.
      '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', '--mute-audio', ...more,
    ],
  });
}

// Size and colours of the window, as asked for.
export function viewOf(options) {
  return { viewport: options.viewport ?? { width: 1440, height: 900 }, colorScheme: options.color_scheme ?? 'light' };
}

// Opens a page at `url`, runs `options.before` in it before anything of its own, and hands it to `use`, with all that went wrong
// on it. Requests to any other origin are refused and reported: the page must need none.
export async function withPage(url, options, use) {
  const browser = await launch(options.arguments);
  try {
    const context = await browser.newContext(viewOf(options));
    if (options.before) await context.addInitScript(options.before);
    const page = await context.newPage();
    const seen = { errors: [], foreign: [], refused: [] };
    const own = new URL(url).origin;
    await page.route('**/*', (route) => {
      const to = new URL(route.request().url());
      if (to.origin === own || ['data:', 'blob:'].includes(to.protocol)) return route.continue();
      seen.foreign.push(to.origin);
      return route.abort();
    });
    page.on('pageerror', (error) => seen.errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') seen.errors.push(message.text());
    });
    page.on('response', (response) => {
      if (response.status() >= 400) seen.refused.push({ status: response.status(), path: pathOf(response.url()) });
    });
    const answer = await page.goto(url, { waitUntil: 'domcontentloaded' });
    const result = await use(page, answer);
    return { status: answer.status(), ...seen, ...result };
  } finally {
    await browser.close();
  }
}

// What is behind the session in an address; the session itself is nobody's business.
function pathOf(url) {
  return new URL(url).pathname.replace(/^\/(s|watch\/s|watch|p)\/[^/]+/, '/$1/…');
}

// Waits for a condition on the page, given as a function run there; the message says what was waited for.
export async function until(page, what, condition, argument, timeout_ms = 30_000) {
  try {
    await page.waitForFunction(condition, argument, { timeout: timeout_ms, polling: 50 });
  } catch (error) {
    if (error.name !== 'TimeoutError') throw error;
    throw new Error(`${what} within ${timeout_ms} ms; the page: ${JSON.stringify(await state(page))}`);
  }
}

// Where the player is.
export function state(page) {
  return page.evaluate(() => {
    const video = document.getElementById('video');
    const { hls, lesson } = window.chalkstream ?? {};
    return {
      current_time: video?.currentTime,
      duration: video?.duration,
      ready_state: video?.readyState,
      paused: video?.paused,
      error: video?.error?.message ?? null,
      revision: lesson?.revision ?? null,
      lesson_state: lesson?.state ?? null,
      level: hls?.levels?.[hls.currentLevel]?.height ?? null,
      notice: document.getElementById('notice')?.hidden === false ? document.getElementById('notice').innerText : null,
    };
  });
}

// Starts playback as a person does.
export async function play(page, timeout_ms) {
  await until(page, 'a first picture', () => document.getElementById('video')?.readyState >= 2, null, timeout_ms);
  await page.click('#begin');
  await until(page, 'playback', () => document.getElementById('video').currentTime > 0.1 && !document.getElementById('video').paused, null, timeout_ms);
}
