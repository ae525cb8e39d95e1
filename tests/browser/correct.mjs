// Corrects a line of the transcript with the keyboard alone, and says what follows.
//   { "url", "from", "to", "undo"?: false, "timeout_ms"?: 60000 }
// The first line with the word `from` gets `to` in its place. Answers the name of the button that a screen reader speaks, the
// line as it is displayed then, the captions with `to` on this page and after it was loaded again, how long it took until search
// found the word, and with `undo` the line after it was taken back.
import { main, play, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, { ...asked, arguments: ['--autoplay-policy=no-user-gesture-required'] }, async (page) => {
    const timeout = asked.timeout_ms ?? 60_000;
    await ready(page, timeout);
    const row = page.locator('#lines .cue', { hasText: new RegExp(`\\b${asked.from}\\b`) }).first();
    const start_ms = await row.getAttribute('data-start-ms');
    await captions(page, asked.from, timeout);
    await row.focus();
    const button = await page.locator('.fix').getAttribute('aria-label');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await until(page, 'the text to correct', () => document.activeElement?.tagName === 'TEXTAREA', null, timeout);
    const field = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    const before = await page.inputValue('.correcting textarea');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText(before.replace(asked.from, asked.to));
    const saving = Date.now();
    await page.keyboard.press('Enter');
    await until(page, 'a word that it is saved', () => document.getElementById('count').textContent.startsWith('Saved'), null, timeout);
    const same = page.locator(`#lines .cue[data-start-ms="${start_ms}"]`);
    const line = await same.locator('p').innerText();
    const focused = await page.evaluate(() => document.activeElement.dataset.startMs);
    const shown = await captions(page, asked.to, timeout);
    const found_ms = await search(page, asked.to, timeout) - saving;

    await page.reload({ waitUntil: 'domcontentloaded' });
    await ready(page, timeout);
    const again = await captions(page, asked.to, timeout);
    const seen = { button, field, before, line, focused: focused === start_ms, shown, found_ms, again };
    if (!asked.undo) return seen;
    await same.focus();
    await page.keyboard.press('e');
    await page.getByRole('button', { name: 'Undo correction' }).press('Enter');
    await until(page, 'a word that it is undone', () => document.getElementById('count').textContent.startsWith('Undone'), null, timeout);
    const undone = await same.locator('p').innerText();
    return { ...seen, undone };
  }),
);

async function ready(page, timeout) {
  await play(page, timeout);
  await until(page, 'the transcript', () => document.body.dataset.wordsReady !== undefined && document.querySelector('#lines .cue'), null, timeout);
}

// Shows captions; the first loaded one with a word.
async function captions(page, word, timeout) {
  await page.evaluate(() => {
    for (const track of document.getElementById('video').textTracks) if (track.kind === 'subtitles' || track.kind === 'captions') track.mode = 'showing';
  });
  const texts = (wanted) => [...document.getElementById('video').textTracks]
    .filter(({ kind }) => kind === 'subtitles' || kind === 'captions')
    .flatMap((track) => [...(track.cues ?? [])].map((cue) => cue.text))
    .find((text) => text.includes(wanted));
  await until(page, `a caption with ${word}`, texts, word, timeout);
  return page.evaluate(texts, word);
}

// Searches a word until it is found; the time then.
async function search(page, word, timeout) {
  const end = Date.now() + timeout;
  while (Date.now() < end) {
    // The page asks for the same words again only after they were cleared.
    await page.press('#query', 'Escape');
    // The key works wherever the focus is, in the player too.
    await page.focus('#controller');
    await page.keyboard.press('/');
    await until(page, 'the focus in the search box', () => document.activeElement?.id === 'query', null, timeout);
    await page.fill('#query', word);
    await page.press('#query', 'Enter');
    await until(page, 'an answer to the search', (q) => document.getElementById('hits').dataset.query === q, word, timeout);
    if (await page.locator('#hits .cue').count()) return Date.now();
  }
  throw new Error(`the search does not find ${word}`);
}
