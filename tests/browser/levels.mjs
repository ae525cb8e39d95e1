// From every level of a lesson's ladder but the lowest, the line is cut to what the next one down needs: which one is loaded then,
// and which audio segments are loaded again, in the other audio rendition?
//   { "shaper": path, "upstream", "path", "timeout_ms"?: 60000 }  →  { "levels": [{ name, bitrate_bps, frame_rate, height }],
//     "drops": [{ from, to, expected, passed: [names], down_bps, sound_twice: [numbers of segments] }] }
// A level is reached by giving the line what it needs, and left by giving it what the next one needs: nothing is set in the player.
import { Line } from './line.mjs';
import { launch, main, until } from './lib.mjs';

// What the player wants of a line before it goes up to a variant, and before it stays there.
const [UP, STAY] = [1.6, 1.3];

await main(async (asked) => {
  const first = await from(asked, null);
  const drops = [];
  for (let level = first.levels.length - 1; level > 0; level--) drops.push(await from(asked, level));
  return { levels: first.levels, drops: drops.map(({ levels, ...drop }) => drop) };
});

async function from(asked, level) {
  const line = new Line(asked.shaper);
  const browser = await launch(['--autoplay-policy=no-user-gesture-required']);
  try {
    const { port } = await line.tell({ upstream: asked.upstream, one_way_ms: 20, down_bps: 3_000_000, up_bps: 3_000_000 });
    // Large enough for every picture: the player loads none that is larger than its window.
    const page = await browser.newPage({ viewport: { width: 2800, height: 1700 } });
    await page.addInitScript(listen);
    await page.goto(`http://127.0.0.1:${port}${asked.path}`, { waitUntil: 'domcontentloaded' });
    const timeout = asked.timeout_ms ?? 60_000;
    await until(page, 'the levels', () => window.heard?.levels, null, timeout);
    const levels = await page.evaluate(() => window.heard.levels);
    if (level === null) return { levels };
    const above = levels[level + 1]?.bitrate_bps ?? Infinity;
    const down_bps = Math.round(Math.min(levels[level].bitrate_bps * UP, above * 1.2));
    await line.tell({ down_bps: Math.max(down_bps, 250_000) });
    await page.click('#begin');
    // Short enough for a drop to matter soon, and long enough for the player to choose: with less it gives up the segment it
    // is loading and takes whatever comes quickest.
    await page.evaluate(() => Object.assign(window.chalkstream.hls.config, { maxBufferLength: 16, maxMaxBufferLength: 16 }));
    await until(page, `the level ${levels[level].name}`, (n) => window.heard.loaded.slice(-2).filter((l) => l === n).length === 2, level, timeout);
    const cut_bps = Math.round(Math.min(levels[level - 1].bitrate_bps * STAY, levels[level].bitrate_bps * 0.9));
    await line.tell({ down_bps: cut_bps });
    // Between the start and here the line changed too: what is counted is loaded again from now on.
    await page.evaluate(() => Object.assign(window.heard, { loaded: [], again: new Set() }));
    // Two segments of one level, and a lower one: there it has landed.
    await until(page, `a level below ${levels[level].name}`, (n) => {
      const [a, b] = window.heard.loaded.slice(-2);
      return a === b && b < n;
    }, level, timeout);
    const passed = await page.evaluate(() => window.heard.loaded);
    const name = (n) => levels[n].name;
    const sound_twice = await page.evaluate(() => [...window.heard.again]);
    return { levels, from: name(level), to: name(passed.at(-1)), expected: name(level - 1), passed: passed.map(name), down_bps: cut_bps, sound_twice };
  } finally {
    await browser.close();
    line.end();
  }
}

// Runs in the page: the levels, and the level of each segment as it is loaded.
function listen() {
  let hls = null;
  setInterval(() => {
    const next = window.chalkstream?.hls;
    if (!next || next === hls) return;
    hls = next;
    const heard = (window.heard = { levels: null, loaded: [], sounds: new Set(), again: new Set() });
    const { Events } = hls.constructor;
    const told = () => {
      if (hls.levels.length) heard.levels = hls.levels.map((l) => ({ name: l.uri.split('/').at(-2), bitrate_bps: l.bitrate, frame_rate: l.frameRate, height: l.height }));
    };
    told();
    hls.on(Events.MANIFEST_PARSED, told);
    hls.on(Events.FRAG_LOADED, (_, { frag }) => {
      if (frag.sn === 'initSegment') return;
      if (frag.type === 'main') heard.loaded.push(frag.level);
      if (frag.type === 'audio') {
        if (heard.sounds.has(frag.sn)) heard.again.add(frag.sn);
        heard.sounds.add(frag.sn);
      }
    });
  }, 10);
}
