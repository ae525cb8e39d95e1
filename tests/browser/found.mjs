// Types a search into the page, and says what it lists.
//   { "url", "query", "screenshot"?, "timeout_ms"?: 30000 }  →  { "summary", "rows": [{ heading, text }] }
// A row with a heading begins a group.
import { main, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, asked, async (page) => {
    const timeout = asked.timeout_ms ?? 30_000;
    await until(page, 'the transcript', () => document.body.dataset.wordsReady !== undefined, null, timeout);
    await page.fill('#query', asked.query);
    await page.press('#query', 'Enter');
    await until(page, 'an answer to the search', (q) => document.getElementById('hits').dataset.query === q, asked.query, timeout);
    if (asked.screenshot) await page.screenshot({ path: asked.screenshot });
    const rows = await page.locator('#hits > li').evaluateAll((items) => items.map((item) => ({
      heading: item.querySelector('h2')?.textContent ?? null,
      text: item.querySelector('.cue p').textContent,
    })));
    return { summary: await page.locator('#count').textContent(), rows };
  }),
);
