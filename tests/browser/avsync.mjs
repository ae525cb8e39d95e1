// Plays a lesson of white flashes and beeps that begin together, and says how far apart they come out.
//   { "url", "at_s": [0, 3590], "flashes"?: 3, "timeout_ms"?: 60000 }  →  { "places": [{ at_s, offsets_ms: [flash − beep] }] }
// A flash's time is the media time that the browser tells of the first bright frame it shows. A beep's time is that of its first
// loud sample, as the browser's own AAC decoder gives it for the segment that is playing, begun at the segment's `tfdt` and moved by
// what the player told Media Source to move sound by: that is where Media Source puts it, which reads no edit lists. What lies outside
// of what it has buffered is not heard. Delays behind the decoder, of screen and loudspeaker, are not measured.
import { main, play, until, withPage } from './lib.mjs';

await main((asked) =>
  withPage(asked.url, { ...asked, before: keepSound, arguments: ['--autoplay-policy=no-user-gesture-required'] }, async (page) => {
    const timeout = asked.timeout_ms ?? 60_000;
    await page.evaluate(`window.measure = { flashes: ${flashes}, beeps: ${beeps} }`);
    await play(page, timeout);
    const places = [];
    for (const at_s of asked.at_s) {
      await page.evaluate((s) => { document.getElementById('video').currentTime = s; }, at_s);
      await until(page, `playback at ${at_s} s`, (s) => !document.getElementById('video').seeking && document.getElementById('video').currentTime >= s + 0.05, at_s, timeout);
      const seen = await page.evaluate(([count, ms]) => window.measure.flashes(count, ms), [asked.flashes ?? 3, timeout]);
      const heard = await page.evaluate(([from, to]) => window.measure.beeps(from, to), [seen[0] - 2, seen.at(-1) + 2]);
      const nearest = (flash) => heard.reduce((best, beep) => (Math.abs(beep - flash) < Math.abs(best - flash) ? beep : best), Infinity);
      places.push({ at_s, flashes_s: seen, beeps_s: heard, offsets_ms: seen.map((flash) => Math.round((flash - nearest(flash)) * 10_000) / 10) });
    }
    return { places };
  }),
);

// In the page, before it: keeps the buffer of sound that its player makes.
function keepSound() {
  const { addSourceBuffer } = MediaSource.prototype;
  MediaSource.prototype.addSourceBuffer = function (type) {
    const made = addSourceBuffer.call(this, type);
    if (type.startsWith('audio')) window.soundBuffer = made;
    return made;
  };
}

// In the page: media times of the first bright frame of so many flashes.
function flashes(count, timeout_ms) {
  const video = document.getElementById('video');
  const canvas = Object.assign(document.createElement('canvas'), { width: 4, height: 4 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const found = [];
  return new Promise((resolve, refuse) => {
    const late = setTimeout(() => refuse(new Error(`${found.length} of ${count} flashes were seen`)), timeout_ms);
    // Nothing is known of the frame before the first.
    let bright = true;
    const look = (_, { mediaTime }) => {
      context.drawImage(video, 0, 0, 4, 4);
      const now = context.getImageData(0, 0, 4, 4).data[20] > 128;
      if (now && !bright) found.push(mediaTime);
      bright = now;
      if (found.length < count) return video.requestVideoFrameCallback(look);
      clearTimeout(late);
      resolve(found);
    };
    video.requestVideoFrameCallback(look);
  });
}

// In the page: media times of the beeps between two, from the sound's segments.
async function beeps(from_s, to_s) {
  const { hls } = window.chalkstream;
  const track = hls.audioTracks[hls.audioTrack];
  const read = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  const boxes = function* (bytes, at = 0, end = bytes.length) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    while (at + 8 <= end) {
      const size = view.getUint32(at) || end - at;
      yield { kind: String.fromCharCode(...bytes.subarray(at + 4, at + 8)), from: at + 8, to: at + size };
      at += size;
    }
  };
  const inside = (bytes, path) => {
    let [at, end] = [0, bytes.length];
    for (const kind of path) {
      const box = [...boxes(bytes, at, end)].find((one) => one.kind === kind);
      if (!box) throw new Error(`no ${kind} in a segment`);
      [at, end] = [box.from, box.to];
    }
    return { at, end, view: new DataView(bytes.buffer, bytes.byteOffset + at, end - at) };
  };
  const fragments = track.details.fragments.filter((f) => f.start + f.duration > from_s && f.start < to_s);
  const init = await read(fragments[0].initSegment.url);
  const mdhd = inside(init, ['moov', 'trak', 'mdia', 'mdhd']).view;
  const timescale = mdhd.getUint32(mdhd.getUint8(0) ? 20 : 12);
  // The decoder's own description lies behind tag 5 of the `esds`: its length (one byte, or four with leading 0x80), then itself.
  const text = Array.from(init, (byte) => String.fromCharCode(byte)).join('');
  const esds = text.indexOf('esds');
  let at = text.indexOf('\x05', text.indexOf('\x04', esds + 8) + 14) + 1;
  while (init[at] === 0x80) at++;
  const description = init.slice(at + 1, at + 1 + init[at]);
  const config = { codec: track.audioCodec ?? 'mp4a.40.2', sampleRate: timescale, numberOfChannels: Number(track.channels ?? 2), description };
  const found = [];
  let quiet_until = -Infinity;
  for (const fragment of fragments) {
    const bytes = await read(fragment.url);
    const tfdt = inside(bytes, ['moof', 'traf', 'tfdt']).view;
    let time = tfdt.getUint8(0) ? Number(tfdt.getBigUint64(4)) : tfdt.getUint32(4);
    const tfhd = inside(bytes, ['moof', 'traf', 'tfhd']).view;
    const trun = inside(bytes, ['moof', 'traf', 'trun']).view;
    // tfhd: defaults follow the track's number in the order of their flags.
    const tfhd_flags = tfhd.getUint32(0) & 0xffffff;
    let offset = 8 + (tfhd_flags & 1 ? 8 : 0) + (tfhd_flags & 2 ? 4 : 0);
    const duration = tfhd_flags & 8 ? tfhd.getUint32(offset) : 1024;
    offset += tfhd_flags & 8 ? 4 : 0;
    const usual = tfhd_flags & 16 ? tfhd.getUint32(offset) : 0;
    const flags = trun.getUint32(0) & 0xffffff;
    const samples = trun.getUint32(4);
    offset = 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
    let data = inside(bytes, ['mdat']).at;
    const decoded = [];
    const decoder = new AudioDecoder({ output: (one) => decoded.push(one), error: (e) => { throw e; } });
    decoder.configure(config);
    for (let n = 0; n < samples; n++) {
      const own = flags & 0x100 ? trun.getUint32(offset) : duration;
      offset += flags & 0x100 ? 4 : 0;
      const size = flags & 0x200 ? trun.getUint32(offset) : usual;
      offset += (flags & 0x200 ? 4 : 0) + (flags & 0x400 ? 4 : 0) + (flags & 0x800 ? 4 : 0);
      decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: Math.round((time / timescale) * 1e6), data: bytes.subarray(data, data + size) }));
      time += own;
      data += size;
    }
    await decoder.flush();
    for (const one of decoded) {
      const samples = new Float32Array(one.numberOfFrames);
      one.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      samples.forEach((value, n) => {
        const second = one.timestamp / 1e6 + n / one.sampleRate;
        if (Math.abs(value) < 0.05) return;
        // The first loud sample after half a second of quiet.
        if (second > quiet_until) found.push(second);
        quiet_until = second + 0.5;
      });
      one.close();
    }
    decoder.close();
  }
  const { timestampOffset, buffered } = window.soundBuffer;
  const isBuffered = (second) => Array.from({ length: buffered.length }).some((_, n) => second >= buffered.start(n) && second < buffered.end(n));
  return found.map((second) => second + timestampOffset).filter((second) => second >= from_s && second <= to_s && isBuffered(second));
}
