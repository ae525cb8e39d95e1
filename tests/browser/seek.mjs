// Searches words in the page's search box, clicks the hit, and says where playback went.
//   { "url", "words": [{ "query", "start_s" }], "screenshot"?, "timeout_ms"?: 30000 }
// `start_s` is the true start of the word (or of the first word of the phrase). A word may be said more than once:
// the hit clicked is the one nearest to it. Answers for each word the target, the time after the seek, the error in
// seconds and the cue it fell into.
import { main, play, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, asked, async (page) => {
    const timeout = asked.timeout_ms ?? 30_000;
    await play(page, timeout);
    await until(page, 'the transcript', () => document.body.dataset.wordsReady !== undefined, null, timeout);
    const results = [];
    for (const word of asked.words) results.push(await seek(page, word, timeout));
    if (asked.screenshot) await page.screenshot({ path: asked.screenshot });
    return { results };
  }),
);

async function seek(page, { query, start_s }, timeout) {
  await page.fill('#query', query);
  await page.press('#query', 'Enter');
  await until(page, `an answer to the search`, (q) => document.getElementById('hits').dataset.query === q, query.trim(), timeout);
  const hits = page.locator('#hits .cue');
  const starts = await hits.evaluateAll((rows) => rows.map((row) => Number(row.dataset.startMs) / 1000));
  if (!starts.length) return { query, start_s, found: 0 };
  const nearest = starts.reduce((best, at, n) => (Math.abs(at - start_s) < Math.abs(starts[best] - start_s) ? n : best), 0);
  // Paused, so that what is read afterwards is where the seek went and not where playback is by now.
  const went = page.evaluate(() => new Promise((resolve) => {
    const video = document.getElementById('video');
    video.addEventListener('seeking', () => {
      const to = video.currentTime;
      video.pause();
      video.addEventListener('seeked', () => resolve(to), { once: true });
    }, { once: true });
  }));
  await hits.nth(nearest).click();
  const to_s = await Promise.race([
    went,
    new Promise((_, refuse) => setTimeout(() => refuse(new Error('the click on a hit moved nothing')), timeout)),
  ]);
  const cue = await hits.nth(nearest).innerText();
  return { query, start_s, found: starts.length, hit_s: starts[nearest], to_s, early_s: start_s - to_s, cue };
}
