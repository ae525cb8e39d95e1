// What the page's scripts work out from values alone; an expectation that does not hold ends this with its sentence.
//   {}  →  { "checked": number }
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { main } from './lib.mjs';

// As the browser loads them: modules, whatever an older Node takes a `.js` file for.
const page = new URL('../../media-server/assets/page/', import.meta.url);
const module = (text) => `data:text/javascript,${encodeURIComponent(text)}`;
const preload_url = module(readFileSync(new URL('preload.js', page), 'utf8'));
const stream_text = readFileSync(new URL('stream.js', page), 'utf8');
assert.ok(stream_text.includes("from './preload.js'"), 'stream.js imports preload.js');
const { bandwidthDrop, connectionBps, bandwidthShare } = await import(preload_url);
const { firstLevel, shouldUseStills, audioOnlyPlaylist } = await import(module(stream_text.replace("'./preload.js'", JSON.stringify(preload_url))));
const view_url = module(readFileSync(new URL('view.js', page), 'utf8'));
const transcript_text = readFileSync(new URL('transcript.js', page), 'utf8');
const { nextPage } = await import(module(transcript_text.replace("'./view.js'", JSON.stringify(view_url))));

const stills = { bitrate: 50_000, averageBitrate: 45_000, frameRate: 0.4 };
const v240 = { bitrate: 157_000, averageBitrate: 142_000, frameRate: 12.5 };
const v360 = { bitrate: 600_000, averageBitrate: 510_000, frameRate: 25 };
const ladder = [stills, v240, v360];

const checks = {
  'a lesson begins with the lowest picture that moves': () => {
    assert.equal(firstLevel(ladder, { bps: 250_000 }), 1);
    assert.equal(firstLevel(ladder, { bps: 5_000_000 }), 1);
    assert.equal(firstLevel([v240, v360], { bps: 250_000 }), 0);
  },
  'on a line known to be too slow it begins with stills': () => assert.equal(firstLevel(ladder, { bps: 90_000, weak: true }), 0),
  'a newer stream begins with what the line has shown': () => {
    assert.equal(firstLevel(ladder, { bps: 5_000_000, measured: true }), 2);
    assert.equal(firstLevel(ladder, { bps: 200_000, measured: true }), 1);
    assert.equal(firstLevel(ladder, { bps: 90_000, measured: true }), 0);
  },
  'stills are for lines that do not carry the picture, and leaving them takes more': () => {
    assert.equal(shouldUseStills(192_000, v240, false), false);
    assert.equal(shouldUseStills(150_000, v240, false), true);
    assert.equal(shouldUseStills(170_000, v240, false), false);
    assert.equal(shouldUseStills(170_000, v240, true), true);
    assert.equal(shouldUseStills(180_000, v240, true), false);
  },
  'words come from the playback on, with those just before it, then from the start': () => {
    assert.equal(nextPage(new Set(), 6, 3), 3);
    assert.equal(nextPage(new Set([3]), 6, 3), 2);
    assert.equal(nextPage(new Set([2, 3]), 6, 3), 4);
    assert.equal(nextPage(new Set([2, 3, 4, 5]), 6, 3), 0);
    assert.equal(nextPage(new Set([0, 3, 4, 5]), 6, 2), 2);
    assert.equal(nextPage(new Set([0]), 1, 0), null);
  },
  'a load beside another has its share of the line': () => {
    const load = { url: 'v', from: 0, to: 2000, bytes: 30_000 };
    const other = (name, responseStart, responseEnd, transferSize) => ({ name, responseStart, responseEnd, transferSize });
    assert.equal(bandwidthShare(load, []), 1);
    assert.equal(bandwidthShare(load, [other('v', 0, 2000, 30_000)]), 1);
    assert.equal(bandwidthShare(load, [other('a', 500, 1500, 10_000)]), 0.75);
    assert.equal(bandwidthShare(load, [other('a', 1000, 3000, 20_000)]), 0.75);
    assert.equal(bandwidthShare(load, [other('a', 2500, 3000, 20_000)]), 1);
  },
  'the line is as fast as all that came over it, while something came': () => {
    const entry = (responseStart, responseEnd, transferSize) => ({ responseStart, responseEnd, transferSize });
    assert.equal(connectionBps([entry(0, 1000, 15_000), entry(500, 1500, 15_000), entry(5000, 5500, 10_000)]), 160_000);
    assert.equal(connectionBps([entry(0, 1000, 15_000)]), null, 'too little to tell');
    assert.equal(connectionBps([entry(0, 1000, 100_000), entry(0, 1, 0)]), 800_000, 'what was cached says nothing');
  },
  'a bandwidthDrop line is told as it is now, with something to spare': () => {
    const [first, total] = [0, 900_000];
    const steady = [[1000, 500_000], [3000, 1_000_000]];
    assert.equal(bandwidthDrop(steady, { first, total: 2_000_000, loaded: 1_000_000 }), null);
    // 600 kB in the first second, then 40 kB a second: 200 kB are left, which take 5 s, and 5 s to spare.
    const points = [[1000, 600_000], [3500, 700_000]];
    const told = bandwidthDrop(points, { first, total, loaded: 700_000 });
    assert.equal((700_000 / (3500 - told)).toFixed(3), (200_000 / 10_000).toFixed(3));
    assert.equal(bandwidthDrop(points.slice(1), { first, total, loaded: 700_000 }), null, 'one look is not enough');
  },
  'the sound alone is a playlist of its own': () => {
    const variant = (more, uri) => `#EXT-X-STREAM-INF:BANDWIDTH=1,${more},AUDIO="a"\n${uri}\n`;
    const both = `#EXTM3U\n${variant('RESOLUTION=1x1', 'v')}${variant('CODECS="mp4a.40.2"', 's')}`;
    assert.equal(audioOnlyPlaylist(both), '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\ns\n');
    assert.equal(audioOnlyPlaylist(`#EXTM3U\n${variant('RESOLUTION=1x1', 'v')}`), null);
  },
};

await main(() => {
  for (const [promise, check] of Object.entries(checks)) {
    try {
      check();
    } catch (error) {
      throw new Error(`${promise}: ${error.message}`);
    }
  }
  return { checked: Object.keys(checks).length };
});
