// The strip that says who speaks: a click and the arrow keys seek, and its text says who it is.
//   { "url", "at_s", "screenshot"?, "timeout_ms"?: 30000 }
// Clicks the strip at `at_s`, then goes to the next turn by keyboard. Answers the shares as read on the page, and for
// both the second that playback went to and the strip's text there.
import { main, play, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, asked, async (page) => {
    const timeout = asked.timeout_ms ?? 30_000;
    await play(page, timeout);
    await until(page, 'the strip', () => !document.getElementById('talk').hidden, null, timeout);
    const strip = page.locator('#strip');
    const box = await strip.boundingBox();
    const length = Number(await strip.getAttribute('aria-valuemax'));
    const clicked = await seekBy(page, () =>
      strip.click({ position: { x: (box.width * asked.at_s) / length, y: box.height / 2 } }), timeout);
    await strip.focus();
    const pressed = await seekBy(page, () => strip.press('ArrowRight'), timeout);
    if (asked.screenshot) await page.screenshot({ path: asked.screenshot });
    return { shares: await page.locator('#shares li').allInnerTexts(), clicked, pressed };
  }),
);

// Does something that seeks. Paused, so that what is read is where the seek went.
async function seekBy(page, act, timeout) {
  const went = page.evaluate(() => new Promise((resolve) => {
    const video = document.getElementById('video');
    video.addEventListener('seeking', () => {
      const to = video.currentTime;
      video.pause();
      resolve(to);
    }, { once: true });
  }));
  await act();
  const to_s = await Promise.race([
    went,
    new Promise((_, refuse) => setTimeout(() => refuse(new Error('nothing was moved')), timeout)),
  ]);
  return { to_s, text: await page.locator('#strip').getAttribute('aria-valuetext') };
}
