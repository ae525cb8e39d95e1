// Requests what the stream needs first, while the player library is still loading.

// Fewer bytes say nothing about the connection's speed.
const MIN_BYTES = 20_000;
// A request that takes longer is left to the library, which retries.
const MAX_WAIT_MS = 30_000;
const STORAGE_KEY = 'line-bps';
// The current speed is measured over this window, and sampled this often.
const [WINDOW_MS, SAMPLE_INTERVAL_MS] = [2000, 250];
// A connection below this share of its earlier speed counts as dropped.
const DROP_SHARE = 0.7;
// Buffer that must be left when a segment arrives after a drop, because the next one takes time
// too.
const SPARE_MS = 5000;

const absolute = (address) => new URL(address, location.href).href;

export class Preloader {
  // `start` is the lesson's preload: the text of the multivariant playlist, and the first files of
  // the lowest video and its audio.
  constructor({ base, master, start }, { at = 0, soundOnly = false } = {}) {
    this.loads = new Map();
    if (!start || !master) return;
    this.#keep(base + master, Promise.resolve(new TextEncoder().encode(start.playlist).buffer));
    // On a connection known to be too slow for that video, a smaller variant is chosen once the
    // playlist is parsed.
    this.weak = (rememberedBps() ?? Infinity) < start.bandwidth_bps;
    for (const { kind, playlist, init, segment } of start.parts) {
      if (kind === 'video' && (soundOnly || this.weak)) continue;
      for (const file of [playlist, init, at ? null : segment]) if (file) this.#load(base + file);
    }
  }

  #load(path) {
    const signal = AbortSignal.timeout(MAX_WAIT_MS);
    const body = fetch(path, { signal }).then((response) => (response.ok ? response.arrayBuffer() : null));
    this.#keep(path, body.catch(() => null));
  }

  #keep(path, body) {
    this.loads.set(absolute(path), body);
  }

  // Returns the body of a requested address, once; it is null if the request failed.
  consume(address) {
    const url = absolute(address);
    const body = this.loads.get(url);
    this.loads.delete(url);
    return body;
  }

  // Settles when everything has arrived or failed.
  get ready() {
    return Promise.all(this.loads.values());
  }
}

// Recent loads, timed by the browser.
const loads = [];
const record = (entries) => {
  for (const entry of entries) {
    // Entries that were taken early are reported again later.
    const known = loads.some(({ name, startTime }) => name === entry.name && startTime === entry.startTime);
    if (entry.transferSize > 0 && !known) loads.push(entry);
  }
  loads.splice(0, loads.length - 40);
};
const observer = new PerformanceObserver((list) => record(list.getEntries()));
observer.observe({ type: 'resource', buffered: true });

// The share of the bandwidth that a load had, from the other loads that arrived at the same time.
// Audio and video load in parallel, so each alone would measure a connection a quarter slower.
export function bandwidthShare({ url, from, to, bytes }, others) {
  let parallel = 0;
  for (const { name, responseStart, responseEnd, transferSize } of others) {
    const overlap = Math.min(to, responseEnd) - Math.max(from, responseStart);
    if (name !== url && overlap > 0) parallel += (transferSize * overlap) / (responseEnd - responseStart);
  }
  return bytes / (bytes + parallel);
}

// hls.js's loader with the preloaded bodies. It reports the speed of the connection, not its share
// of it.
export function withPreload(Loader, preloader) {
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, stats, ...rest) => {
        record(observer.takeRecords());
        this.restoreTimings();
        const { start, first, end } = stats.loading;
        const share = bandwidthShare({ url: absolute(context.url), from: first, to: end, bytes: stats.loaded }, loads);
        stats.loading.first = end - (end - first) * share;
        stats.loading.start = stats.loading.first - (first - start);
        callbacks.onSuccess(response, stats, ...rest);
      };
      this.plain = callbacks;
      if (context.frag?.type === 'main') this.sampling = setInterval(() => this.sampleProgress(), SAMPLE_INTERVAL_MS);
      super.load(context, config, { ...callbacks, onSuccess });
    }

    // hls.js abandons a segment if its mean speed since the first byte is too low. After a drop
    // that mean stays too high for many seconds. So until a segment arrives, its times are changed
    // to report the current speed, and the time that the next segment needs.
    sampleProgress() {
      const { stats, callbacks } = this;
      if (this.over || !callbacks || stats.loading.end) return clearInterval(this.sampling);
      if (!stats.loading.first || !stats.total) return;
      const now = performance.now();
      this.samples ??= [];
      this.samples.push([now, stats.loaded]);
      while (now - this.samples[1]?.[0] >= WINDOW_MS) this.samples.shift();
      this.restoreTimings();
      const dropAt = bandwidthDrop(this.samples, { ...stats.loading, loaded: stats.loaded, total: stats.total });
      if (!dropAt) return;
      this.real = { ...stats.loading };
      stats.loading.first = dropAt;
      stats.loading.start = dropAt - (this.real.first - this.real.start);
    }

    restoreTimings() {
      if (this.real) [this.stats.loading.start, this.stats.loading.first] = [this.real.start, this.real.first];
      this.real = null;
    }

    abort() {
      this.over = true;
      super.abort();
    }

    loadInternal() {
      const { context, stats, callbacks } = this;
      const body = preloader.consume(context.url);
      if (!body) return super.loadInternal();
      body.then((bytes) => {
        if (this.over || this.callbacks !== callbacks) return;
        if (!bytes) return super.loadInternal();
        // It reports the mean speed of all loads: it was neither instant, nor alone on the
        // connection.
        stats.loading.end = performance.now();
        stats.loading.start = stats.loading.first = stats.loading.end - (bytes.byteLength * 8000) / (connectionBps() ?? 250_000);
        stats.loaded = stats.total = bytes.byteLength;
        const data = context.responseType === 'arraybuffer' ? bytes : new TextDecoder().decode(bytes);
        callbacks.onProgress?.(stats, context, data, null);
        // Absolute, as from the network: the URIs in playlists are resolved against it.
        this.plain.onSuccess({ url: absolute(context.url), data, code: 200 }, stats, context, null);
      });
    }
  };
}

// When a load would have started if the connection had always had its current speed, with some time
// to spare. Null if it has not dropped. Samples are time in ms and bytes loaded.
export function bandwidthDrop(samples, { first, loaded, total }) {
  const [[from, had], [now, has]] = [samples[0], samples.at(-1)];
  if (now - from < WINDOW_MS || loaded >= total) return null;
  const speed = Math.max((has - had) / (now - from), 0.1);
  if (speed > (DROP_SHARE * loaded) / (now - first)) return null;
  const left_ms = (total - loaded) / speed + SPARE_MS;
  return now - (loaded * left_ms) / (total - loaded);
}

// The connection's speed over everything loaded so far: bytes, over the time in which some were
// arriving.
export function connectionBps(entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]) {
  let [bytes, ms, until] = [0, 0, 0];
  const fetched = entries.filter((entry) => entry.transferSize > 0 && entry.responseEnd > entry.responseStart);
  for (const { transferSize, responseStart, responseEnd } of fetched.sort((a, b) => a.responseStart - b.responseStart)) {
    bytes += transferSize;
    ms += Math.max(0, responseEnd - Math.max(responseStart, until));
    until = Math.max(until, responseEnd);
  }
  return bytes >= MIN_BYTES && ms > 0 ? (bytes * 8000) / ms : null;
}

// The speed when this tab last played something.
export function rememberedBps() {
  try {
    return Number(sessionStorage.getItem(STORAGE_KEY)) || null;
  } catch {
    return null;
  }
}

export function remember(bps) {
  try {
    if (bps) sessionStorage.setItem(STORAGE_KEY, String(Math.round(bps)));
  } catch { /* a frame without storage */ }
}
