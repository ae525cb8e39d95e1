// Opens a watch link, plays, and says what a coach would see.
//   { "url", "until_s"?: 10, "captions_at_s"?: number, "screenshot"?: path, "viewport"?, "color_scheme"?, "timeout_ms"?: 60000,
//     "sound_only"?: true }
// Answers current_time, how much was buffered when the words were asked for, how many bytes of page, scripts and style came over
// the line, captions shown, transcript rows, the storyboard's tiles, the first level loaded, with `sound_only` how playback went on
// without the picture and then with it again, and every error, refused and foreign request.
import { main, play, state, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, { ...asked, before: noteBuffer }, async (page, answer) => {
    const timeout = asked.timeout_ms ?? 60_000;
    const policy = answer.headers()['content-security-policy'] ?? null;
    const opened = Date.now();
    await play(page, timeout);
    const started_ms = Date.now() - opened;
    const first_level = await page.evaluate(() => {
      const loaded = performance.getEntriesByType('resource').find((entry) => /\/video\/.*\.m4s$/.test(entry.name));
      return loaded ? new URL(loaded.name).pathname.split('/').at(-2) : null;
    });
    const target = asked.until_s ?? 10;
    await until(page, `playback past ${target} s`, (s) => document.getElementById('video').currentTime > s, target, timeout);
    const past = await state(page);

    let captions = null;
    await until(page, 'the controls', () => document.body.dataset.chromeReady !== undefined, null, timeout);
    await until(page, 'the transcript', () => document.body.dataset.wordsReady !== undefined, null, timeout);
    const words_ahead_s = await page.evaluate(() => {
      const { startTime } = performance.getEntriesByType('resource').find((entry) => entry.name.endsWith('/extras.js'));
      return window.buffered.filter(([at]) => at <= startTime + 50).reduce((most, [, ahead_s]) => Math.max(most, ahead_s), 0);
    });
    const rows = await page.locator('#lines .cue').count();
    if (asked.captions_at_s !== undefined) {
      await page.hover('#controller');
      await page.click('media-captions-button');
      await page.evaluate((s) => { document.getElementById('video').currentTime = s; }, asked.captions_at_s);
      const shown = () => [...document.getElementById('video').textTracks]
        .filter((track) => track.mode === 'showing' && track.kind !== 'metadata')
        .flatMap((track) => [...(track.activeCues ?? [])].map((cue) => cue.text));
      await until(page, 'a caption', () => [...document.getElementById('video').textTracks]
        .some((track) => track.mode === 'showing' && track.kind !== 'metadata' && track.activeCues?.length), null, timeout);
      captions = await page.evaluate(shown);
    }
    const storyboard_tiles = await page.evaluate(() =>
      [...document.getElementById('video').textTracks].find((track) => track.label === 'thumbnails')?.cues?.length ?? 0);
    const following = await page.evaluate(() => document.querySelector('#lines .cue.now')?.innerText ?? null);
    if (asked.screenshot) {
      // With the controls shown; the browser's own caption box slides for 0.2 s and cannot be asked whether it is done.
      const box = await page.locator('#video').boundingBox();
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 3);
      await until(page, 'the controls', () => !document.querySelector('media-controller').hasAttribute('userinactive'), null, timeout);
      await page.waitForTimeout(400);
      await page.screenshot({ path: asked.screenshot });
    }
    const page_bytes = await page.evaluate(() => performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))
      .filter(({ entryType, name }) => entryType === 'navigation' || /\.(js|css)$/.test(new URL(name).pathname))
      .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0));
    const sound_only = asked.sound_only ? await soundOnly(page, timeout) : null;
    return { ...past, address: new URL(page.url()).pathname.replace(/[^/]+$/, '…'), policy, started_ms, first_level, words_ahead_s, page_bytes, rows, captions, storyboard_tiles, following, sound_only };
  }),
);

// Notes, in the page, how many seconds ahead of the playback were buffered when.
function noteBuffer() {
  window.buffered = [];
  setInterval(() => {
    const video = document.getElementById('video');
    for (let n = 0; n < (video?.buffered.length ?? 0); n++) {
      const [from, to] = [video.buffered.start(n), video.buffered.end(n)];
      if (from <= video.currentTime + 0.2 && to >= video.currentTime) window.buffered.push([performance.now(), to - video.currentTime]);
    }
  }, 5);
}

// Leaves the picture away and takes it back: the same second goes on, and only sound was loaded meanwhile.
async function soundOnly(page, timeout) {
  const at = () => page.evaluate(() => ({ time: document.getElementById('video').currentTime, width: document.getElementById('video').videoWidth, pressed: document.getElementById('sound-only').getAttribute('aria-pressed') }));
  const plays = (what, pressed, from) => until(page, what, ([wanted, s]) =>
    document.getElementById('sound-only').getAttribute('aria-pressed') === wanted && document.getElementById('video').currentTime > s, [pressed, from], timeout);
  const before = await at();
  await page.evaluate(() => performance.clearResourceTimings());
  await page.click('#sound-only');
  await plays('sound alone', 'true', before.time + 1);
  const alone = await at();
  const pictures_loaded = await page.evaluate(() => performance.getEntriesByType('resource').filter((entry) => /\/video\/.*\.m4s$/.test(entry.name)).length);
  await page.click('#sound-only');
  await plays('the picture again', 'false', alone.time + 1);
  return { before, alone, after: await at(), pictures_loaded };
}
