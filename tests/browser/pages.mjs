// A long lesson's words on the page: opened in its last part, with one page of words that does not come at first.
//   { "url" (with #t=…), "fails": "from_ms=…", "rows": how many in all, "timeout_ms"?: 60000 }
//   → { "asked": [from_ms in order], "first", "read", "moved_px", "last", "sorted", "sought_s" }
// `first` and `last` are the times of the first row when the first page was there and when all were; `moved_px` is how far the row
// that was read moved when pages came in above it; `sought_s` is where a click on the first row went.
import { main, play, state, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, asked, async (page) => {
    const timeout = asked.timeout_ms ?? 60_000;
    const pages = [];
    let failed = false;
    await page.route('**/transcript.json?*', (route) => {
      const from = new URL(route.request().url()).searchParams.get('from_ms');
      pages.push(Number(from));
      if (failed || !route.request().url().includes(asked.fails)) return route.continue();
      failed = true;
      return route.abort();
    });
    await page.reload();
    await play(page, timeout);
    const starts = () => page.$$eval('#lines .cue', (rows) => rows.map((row) => Number(row.dataset.startMs)));
    await until(page, 'words', () => document.querySelector('#lines .cue'), null, timeout);
    const [first] = await starts();
    await until(page, 'the row that is being said', () => document.querySelector('#lines .cue.now'), null, timeout);
    const top = () => page.$eval('#lines .cue.now', (row) => row.getBoundingClientRect().top);
    await page.$eval('#video', (video) => video.pause());
    const [read, before] = [await page.$eval('#lines .cue.now', (row) => Number(row.dataset.startMs)), await top()];
    await until(page, 'all words', (n) => document.querySelectorAll('#lines .cue').length === n, asked.rows, timeout);
    const moved_px = Math.abs((await top()) - before);
    const all = await starts();
    const [last] = all;
    const sorted = all.every((start, n) => n === 0 || start >= all[n - 1]);
    await page.$eval('#lines .cue', (row) => row.click());
    await until(page, 'a seek to the first row', () => document.getElementById('video').currentTime < 60, null, timeout);
    const { current_time } = await state(page);
    await until(page, 'its row', () => document.querySelector('#lines .cue.now')?.dataset.startMs < 60_000, null, timeout);
    return { asked: pages, first, read, moved_px, last, sorted, sought_s: current_time };
  }),
);
