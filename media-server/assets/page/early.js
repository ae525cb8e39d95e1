// What the stream needs first, asked for while the library that plays it is still on its way.

// Too little to tell a line's speed by.
const LEAST_BYTES = 20_000;
// A request that takes longer is left to the library, which knows how to try again.
const LONGEST_WAIT_MS = 30_000;
const KEPT = 'line-bps';
// A line's speed now is its speed over so long; it is looked at so often.
const [NOW_MS, LOOK_MS] = [2000, 250];
// Below this share of its speed until now, a line counts as fallen.
const FALLEN = 0.7;
// What must be left in the buffer when a segment on a fallen line is there: the next one takes its time too.
const SPARE_MS = 5000;

const absolute = (address) => new URL(address, location.href).href;

export class Early {
  // `start` is the lesson's: the multivariant playlist's text, and what the lowest picture and its sound begin with.
  constructor({ base, master, start }, { at = 0, soundOnly = false } = {}) {
    this.loads = new Map();
    if (!start || !master) return;
    this.#keep(base + master, Promise.resolve(new TextEncoder().encode(start.playlist).buffer));
    // On a line known to be too slow for the picture, something smaller is chosen once the playlist is read.
    this.weak = (rememberedBps() ?? Infinity) < start.bandwidth_bps;
    for (const { kind, playlist, init, segment } of start.parts) {
      if (kind === 'video' && (soundOnly || this.weak)) continue;
      for (const file of [playlist, init, at ? null : segment]) if (file) this.#load(base + file);
    }
  }

  #load(path) {
    const signal = AbortSignal.timeout(LONGEST_WAIT_MS);
    const body = fetch(path, { signal }).then((answer) => (answer.ok ? answer.arrayBuffer() : null));
    this.#keep(path, body.catch(() => null));
  }

  #keep(path, body) {
    this.loads.set(absolute(path), body);
  }

  // The body of an address that was asked for, once; it is null where that came to nothing.
  take(address) {
    const url = absolute(address);
    const body = this.loads.get(url);
    this.loads.delete(url);
    return body;
  }

  // When all of it is there, or given up.
  get ready() {
    return Promise.all(this.loads.values());
  }
}

// What was loaded lately, by the browser's own clock.
const loads = [];
const noted = (entries) => {
  for (const entry of entries) {
    // Told at once when asked for, entries are told again later.
    const known = loads.some(({ name, startTime }) => name === entry.name && startTime === entry.startTime);
    if (entry.transferSize > 0 && !known) loads.push(entry);
  }
  loads.splice(0, loads.length - 40);
};
const observer = new PerformanceObserver((list) => noted(list.getEntries()));
observer.observe({ type: 'resource', buffered: true });

// The share of the line that a load had, by what else arrived while it did: sound and picture come side by side, and each
// by itself would tell of a line that is a quarter slower.
export function shareOf({ url, from, to, bytes }, others) {
  let beside = 0;
  for (const { name, responseStart, responseEnd, transferSize } of others) {
    const overlap = Math.min(to, responseEnd) - Math.max(from, responseStart);
    if (name !== url && overlap > 0) beside += (transferSize * overlap) / (responseEnd - responseStart);
  }
  return bytes / (bytes + beside);
}

// hls.js's loader, with what was asked for early; and it tells the line's speed, not its share of it.
export function loaderWith(Loader, early) {
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, stats, ...rest) => {
        noted(observer.takeRecords());
        this.asItIs();
        const { start, first, end } = stats.loading;
        const share = shareOf({ url: absolute(context.url), from: first, to: end, bytes: stats.loaded }, loads);
        stats.loading.first = end - (end - first) * share;
        stats.loading.start = stats.loading.first - (first - start);
        callbacks.onSuccess(response, stats, ...rest);
      };
      this.plain = callbacks;
      if (context.frag?.type === 'main') this.looking = setInterval(() => this.look(), LOOK_MS);
      super.load(context, config, { ...callbacks, onSuccess });
    }

    // hls.js gives a segment up where the line's mean since its first byte would be too slow. After a fall that mean is
    // too good for many seconds: until it is there, a segment tells of the line as it is now, and of the time the next takes.
    look() {
      const { stats, callbacks } = this;
      if (this.over || !callbacks || stats.loading.end) return clearInterval(this.looking);
      if (!stats.loading.first || !stats.total) return;
      const now = performance.now();
      this.points ??= [];
      this.points.push([now, stats.loaded]);
      while (now - this.points[1]?.[0] >= NOW_MS) this.points.shift();
      this.asItIs();
      const told = fallen(this.points, { ...stats.loading, loaded: stats.loaded, total: stats.total });
      if (!told) return;
      this.real = { ...stats.loading };
      stats.loading.first = told;
      stats.loading.start = told - (this.real.first - this.real.start);
    }

    asItIs() {
      if (this.real) [this.stats.loading.start, this.stats.loading.first] = [this.real.start, this.real.first];
      this.real = null;
    }

    abort() {
      this.over = true;
      super.abort();
    }

    loadInternal() {
      const { context, stats, callbacks } = this;
      const body = early.take(context.url);
      if (!body) return super.loadInternal();
      body.then((bytes) => {
        if (this.over || this.callbacks !== callbacks) return;
        if (!bytes) return super.loadInternal();
        // It tells of the line what all told together: not that it was there at once, nor that it shared the line.
        stats.loading.end = performance.now();
        stats.loading.start = stats.loading.first = stats.loading.end - (bytes.byteLength * 8000) / (lineBps() ?? 250_000);
        stats.loaded = stats.total = bytes.byteLength;
        const data = context.responseType === 'arraybuffer' ? bytes : new TextDecoder().decode(bytes);
        callbacks.onProgress?.(stats, context, data, null);
        // Absolute, as from the network: what the playlists name is resolved against it.
        this.plain.onSuccess({ url: absolute(context.url), data, code: 200 }, stats, context, null);
      });
    }
  };
}

// When a load would have begun, had the line been all the time as it is now, with something to spare; null where it has
// not fallen. Points are time in ms and bytes loaded.
export function fallen(points, { first, loaded, total }) {
  const [[from, had], [now, has]] = [points[0], points.at(-1)];
  if (now - from < NOW_MS || loaded >= total) return null;
  const speed = Math.max((has - had) / (now - from), 0.1);
  if (speed > (FALLEN * loaded) / (now - first)) return null;
  const left_ms = (total - loaded) / speed + SPARE_MS;
  return now - (loaded * left_ms) / (total - loaded);
}

// The line's speed by all that was loaded so far: bytes, over the time in which some were arriving.
export function lineBps(entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]) {
  let [bytes, ms, until] = [0, 0, 0];
  const fetched = entries.filter((entry) => entry.transferSize > 0 && entry.responseEnd > entry.responseStart);
  for (const { transferSize, responseStart, responseEnd } of fetched.sort((a, b) => a.responseStart - b.responseStart)) {
    bytes += transferSize;
    ms += Math.max(0, responseEnd - Math.max(responseStart, until));
    until = Math.max(until, responseEnd);
  }
  return bytes >= LEAST_BYTES && ms > 0 ? (bytes * 8000) / ms : null;
}

// What the line was like when this tab last played something.
export function rememberedBps() {
  try {
    return Number(sessionStorage.getItem(KEPT)) || null;
  } catch {
    return null;
  }
}

export function remember(bps) {
  try {
    if (bps) sessionStorage.setItem(KEPT, String(Math.round(bps)));
  } catch { /* a frame without storage */ }
}
