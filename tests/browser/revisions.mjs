// Watches a lesson whose newer revision comes out meanwhile, and says how the page went over to it.
//   { "url", "shaper"?: path, "down_bps"?, "revision": 2, "paused"?: true, "play_s"?: 8, "screenshot"?: path, "timeout_ms"?: 120000 }
// `play_s` is played before anything else is waited for; with `paused` it is paused then. Answers the second before and after the
// change, how long the picture stood still, whether something lay over the stage meanwhile, and what the page said.
import { main, play, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, { ...asked, arguments: ['--autoplay-policy=no-user-gesture-required'] }, async (page) => {
    const timeout = asked.timeout_ms ?? 120_000;
    await page.evaluate(watch);
    await play(page, timeout);
    await until(page, 'some seconds of play', (s) => document.getElementById('video').currentTime > s, asked.play_s ?? 8, timeout);
    if (asked.paused) await page.evaluate(() => document.getElementById('video').pause());
    await until(page, `revision ${asked.revision}`, () => window.moved.length > 0, null, timeout);
    await until(page, 'the picture of the newer revision', () => window.moved[0].after_s !== undefined && document.getElementById('video').readyState >= 2 && !document.querySelector('.last-picture'), null, timeout);
    const text = await page.evaluate(() => document.getElementById('line-text').textContent);
    if (asked.screenshot) await page.screenshot({ path: asked.screenshot });
    if (!asked.paused) await until(page, 'playback after it', () => { const video = document.getElementById('video'); return !video.paused && video.currentTime > window.moved[0].before_s + 2; }, null, timeout);
    const result = await page.evaluate(() => ({ moved: window.moved, longest_still_ms: window.longest(), paused: document.getElementById('video').paused, revision: window.chalkstream.lesson.revision, at_s: document.getElementById('video').currentTime }));
    return { ...result, text };
  }),
);

// In the page: each change of streams with the seconds around it, and the longest time without a new picture while it plays.
function watch() {
  window.moved = [];
  const video = document.getElementById('video');
  let hls = null;
  let [last_s, at_ms, longest] = [0, 0, 0];
  window.longest = () => Math.round(longest);
  setInterval(() => {
    const now = performance.now();
    const next = window.chalkstream?.hls;
    if (hls && next && next !== hls) window.moved.push({ before_s: last_s, covered: null });
    hls = next ?? hls;
    const change = window.moved.at(-1);
    if (change && change.covered === null && video.readyState < 2) change.covered = Boolean(document.querySelector('.last-picture'));
    if (change?.covered && change.after_s === undefined && video.readyState >= 2 && !video.seeking && !document.querySelector('.last-picture')) change.after_s = video.currentTime;
    if (video.paused) at_ms = now;
    if (video.readyState < 2 || video.currentTime === last_s) return;
    if (at_ms) longest = Math.max(longest, now - at_ms);
    [last_s, at_ms] = [video.currentTime, now];
  }, 10);
}
