// Opens a watch link behind the shaping proxy, as often as wanted, and says when it played and what it stood for.
//   { "shaper": path, "upstream": "127.0.0.1:8480", "path": "/watch/…", "runs": 5, "warm"?: true, "play_s"?: 60, "timeout_ms"?: 60000,
//     "rates": { "down_bps", "up_bps", "one_way_ms" }, "trace"?: [{ "at_media_s", "down_bps", "up_bps"? }], "resources"?: true }
// Each run is a browser profile of its own. A warm one has opened the same page before, over a fast line: its scripts and style are
// cached, the session and so the stream are new. Times are in ms from the navigation's start, as the page's own clock has it. The
// button «play» is pressed by a script the moment it is there; Chromium is told to let it start with sound.
// What counts as start: a second, different frame was handed to the compositor, sound was decoded and is not muted.
import { Line } from './line.mjs';
import { launch, main, viewOf } from './lib.mjs';

const FAST_BPS = 50_000_000;

await main(async (asked) => {
  const runs = [];
  for (let n = 0; n < (asked.runs ?? 5); n++) runs.push(await run(asked));
  return { runs };
});

async function run(asked) {
  const { rates } = asked;
  const line = new Line(asked.shaper);
  const browser = await launch(['--autoplay-policy=no-user-gesture-required']);
  try {
    const fast = { down_bps: FAST_BPS, up_bps: FAST_BPS };
    const { port } = await line.tell({ upstream: asked.upstream, one_way_ms: rates.one_way_ms, ...(asked.warm ? fast : rates) });
    const context = await browser.newContext(viewOf(asked));
    await context.addInitScript(watch);
    const url = `http://127.0.0.1:${port}${asked.path}`;
    if (asked.warm) {
      const before = await context.newPage();
      await before.goto(url, { waitUntil: 'domcontentloaded' });
      await before.waitForFunction(() => document.body.dataset.wordsReady !== undefined && document.body.dataset.chromeReady !== undefined, null, { timeout: 60_000 });
      await before.close();
    }
    const { down_bytes: before_bytes } = await line.tell(rates);
    const page = await context.newPage();
    page.on('pageerror', (error) => process.stderr.write(`${error}\n`));
    page.goto(url, { waitUntil: 'commit' }).catch(() => {});
    const trace = [...(asked.trace ?? [])];
    const play_s = asked.play_s ?? 60;
    const deadline = Date.now() + (asked.timeout_ms ?? 60_000) + play_s * 1500;
    let seen = null;
    let first_bytes = null;
    while (Date.now() < deadline) {
      seen = await page.evaluate(() => window.watched?.now()).catch(() => null);
      if (seen?.start_ms && first_bytes === null) first_bytes = (await line.tell({})).down_bytes - before_bytes;
      while (trace.length && seen && seen.media_s >= trace[0].at_media_s) {
        const { at_media_s, ...change } = trace.shift();
        await line.tell(change);
      }
      if (seen?.start_ms && (seen.media_s >= play_s || seen.ended)) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!seen?.start_ms) throw new Error(`nothing played in time: ${JSON.stringify(seen)}`);
    if (seen.media_s < play_s && !seen.ended) throw new Error(`${play_s} s were not played in time: ${JSON.stringify(seen)}`);
    const whole = await page.evaluate(() => window.watched.all());
    if (!asked.resources) delete whole.resources;
    return { ...whole, bytes_until_start: first_bytes, bytes: (await line.tell({})).down_bytes - before_bytes };
  } finally {
    await browser.close();
    line.end();
  }
}

// Runs in the page, before anything of it.
function watch() {
  // Still for this long, wanting to play: a stall. Shorter ones are this machine's scheduling.
  const STILL_MS = 200;
  const watched = { start_ms: null, stalls: [], switches: [], first_frag: null, at_start: null };
  let video, hls, frames = 0, first = null, last = { media_s: 0, at: 0 }, still = null;

  const level = (n) => hls?.levels?.[n]?.height ?? null;
  const hear = () => {
    const next = window.chalkstream?.hls;
    if (!next || next === hls) return;
    hls = next;
    const { Events } = next.constructor;
    hls.on(Events.FRAG_LOADED, (_, { frag }) => {
      if (watched.first_frag || frag.type !== 'main' || frag.sn === 'initSegment') return;
      const { loading, loaded } = frag.stats;
      watched.first_frag = { level: level(frag.level), sn: frag.sn, bytes: loaded, ms: Math.round(loading.end - loading.start), at_ms: Math.round(performance.now()) };
    });
    hls.on(Events.LEVEL_SWITCHED, (_, data) => watched.switches.push({ at_ms: Math.round(performance.now()), media_s: video.currentTime, level: level(data.level) }));
  };
  const figures = () => {
    const ranges = [...Array(video.buffered.length).keys()].map((n) => [video.buffered.start(n), video.buffered.end(n)]);
    const range = ranges.find(([from, to]) => from <= video.currentTime + 0.2 && to >= video.currentTime);
    return {
      bandwidth_estimate_bps: Math.round(hls?.bandwidthEstimate ?? 0), level: level(hls?.currentLevel), next_level: level(hls?.nextLoadLevel),
      ahead_s: range ? range[1] - video.currentTime : 0,
    };
  };
  const frame = (now, { mediaTime }) => {
    frames++;
    first ??= mediaTime;
    const sound = video.webkitAudioDecodedByteCount > 0 && !video.muted && video.volume > 0;
    if (watched.start_ms === null && mediaTime > first && !video.paused && sound) {
      watched.start_ms = Math.round(now);
      watched.at_start = figures();
    }
    video.requestVideoFrameCallback(frame);
  };
  setInterval(() => {
    const now = performance.now();
    hear();
    if (!video) {
      video = document.getElementById('video');
      video?.requestVideoFrameCallback(frame);
      return;
    }
    const begin = document.getElementById('begin');
    if (begin && !begin.hidden) begin.click();
    if (watched.start_ms === null) return;
    const media_s = video.currentTime;
    if (media_s !== last.media_s || video.paused || video.ended) {
      if (still) still.ms = Math.round(now - still.from);
      still = null;
      last = { media_s, at: now };
    } else if (now - last.at > STILL_MS && last.at) {
      if (!still) watched.stalls.push((still = { media_s, from: last.at }));
      still.ms = Math.round(now - still.from);
    }
  }, 10);
  window.watched = {
    now: () => ({ start_ms: watched.start_ms, media_s: video?.currentTime ?? 0, ended: video?.ended ?? false, notice: document.getElementById('line-text')?.textContent }),
    all: () => ({
      ...watched, stalls: watched.stalls.map(({ media_s, ms }) => ({ media_s, ms })), frames, at_end: figures(),
      resources: [performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')].map((e) => ({
        name: new URL(e.name).pathname.split('/').slice(-2).join('/').slice(-40), start_ms: Math.round(e.startTime), first_ms: Math.round(e.responseStart), end_ms: Math.round(e.responseEnd), bytes: e.transferSize })),
    }),
  };
}
