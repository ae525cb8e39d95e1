// The stream: hls.js where it can run, otherwise the browser's own HLS. Chrome also says "maybe" to
// HLS, but means another player than the one we test.

import { Preloader, connectionBps, withPreload, remember, rememberedBps } from './preload.js';

const SETTINGS = {
  // Fragmented MP4 needs no transmuxing, so no worker, and the page's policy allows none.
  enableWorker: false,
  lowLatencyMode: false,
  testBandwidth: false,
  startFragPrefetch: true,
  capLevelToPlayerSize: true,
  maxBufferLength: 30,
  maxMaxBufferLength: 120,
  backBufferLength: 90,
  enableCEA708Captions: false,
  enableIMSC1: false,
};
// Longest wait between two attempts while the connection is lost.
const MAX_WAIT_S = 15;
// The assumed speed of an unknown connection.
const DEFAULT_BPS = 250_000;
// The share of the bandwidth that the first variant may need.
const START_SHARE = 0.7;
// With so much buffer and bandwidth, another stream arrives before the video has to wait for long.
const [HEADROOM_AHEAD_S, HEADROOM_BPS] = [12, 2_000_000];
// Longest wait for the playlists of a newer stream before the old one is replaced.
const MAX_PRELOAD_WAIT_MS = 8000;

// One frame every few seconds, for connections that carry no moving video.
const isStills = (level) => level.frameRate > 0 && level.frameRate < 1;

// Whether to use stills: the connection does not carry the lowest moving video. Leaving them needs
// more than staying, or a connection in between would change at each segment.
export function shouldUseStills(bps, moving, before) {
  return bps < (moving.averageBitrate || moving.bitrate) * (before ? 1.25 : 1.1);
}

// The level to start with: the lowest that moves, unless the connection is known to be too slow for
// it. After a change of streams, the best for the measured speed.
export function firstLevel(levels, { bps, weak, measured }) {
  const moving = Math.max(levels.findIndex((level) => !isStills(level)), 0);
  if (measured) return Math.max(levels.findLastIndex((level) => level.bitrate <= bps * START_SHARE), bps < levels[moving].bitrate ? 0 : moving);
  return weak ? 0 : moving;
}

// A multivariant playlist with only its audio variants; null if it has none, or no others.
//
// hls.js never chooses such a variant while there are others, so sound only needs a playlist of its
// own.
export function audioOnlyPlaylist(text) {
  const lines = text.split('\n');
  const kept = [];
  let [audio, video] = [0, 0];
  for (let n = 0; n < lines.length; n++) {
    if (!lines[n].startsWith('#EXT-X-STREAM-INF:')) {
      if (!/^#EXT-X-(I-FRAME-STREAM-INF:|MEDIA:TYPE=AUDIO)/.test(lines[n])) kept.push(lines[n]);
      continue;
    }
    if (/RESOLUTION=|CODECS="[^"]*(avc|hvc|hev|av01|vp0)/.test(lines[n])) {
      video++;
      n++;
    } else {
      audio++;
      // The variant is the audio itself, not a rendition next to it.
      kept.push(lines[n].replace(/,AUDIO="[^"]*"/, ''), lines[++n] ?? '');
    }
  }
  return audio && video ? kept.join('\n') : null;
}

// When another variant has another audio rendition, hls.js discards all buffered audio and loads
// from the playback position. On a connection that has just dropped, half a minute of audio is lost
// and playback waits. Here the buffered audio is played, and the other rendition continues after
// it.
const keepAudioBuffer = (Controller) => class extends Controller {
  onAudioTrackSwitching(event, track) {
    super.onAudioTrackSwitching(event, { ...track, flushImmediate: true });
    if (this.switchingTrack) this.completeAudioSwitch(this.switchingTrack);
  }

  flushAudioIfNeeded() {}
};

// `on` has the callbacks parsed(), refused(url), away(seconds), back() and broken().
export class Stream {
  constructor(video, library, on) {
    this.video = video;
    this.library = library;
    this.on = on;
    this.hls = null;
    // The second of the lesson at which the stream begins: above 0 if the session has a window.
    this.offset = 0;
    // Whether the viewer wants sound only, and whether the stream offers it.
    this.soundOnly = false;
    this.hasAudioOnly = false;
    // Whether the viewer wants the original video, and whether it is loaded.
    this.original = false;
    this.originalPlays = false;
    // The second to reach; null once playback is there.
    this.target = null;
    for (const type of ['seeked', 'timeupdate']) video.addEventListener(type, () => this.#onArrival());
    // Whether the stream has no video.
    this.still = false;
    window.addEventListener('online', () => this.retry());
    window.addEventListener('pagehide', () => remember(this.measuredBps()));
  }

  // Requests the first files of a lesson's stream; `load` uses them.
  prepare(lesson, at) {
    // The original video starts with other files than the preloaded ones.
    this.preloader = new Preloader(this.#isOriginal(lesson) ? {} : lesson, { at, soundOnly: this.soundOnly });
    return this.preloader.ready;
  }

  // The connection's speed if this player has measured it.
  measuredBps() {
    return this.measured ? this.hls.bandwidthEstimate : null;
  }

  // Whether the stream is still growing.
  growing() {
    return Boolean(this.hls?.levels?.[this.hls.loadLevel]?.details?.live);
  }

  // Whether another stream can replace this one without a long wait.
  hasHeadroom() {
    return this.ahead() >= HEADROOM_AHEAD_S && (this.measuredBps() ?? 0) >= HEADROOM_BPS;
  }

  // Loads a lesson's stream, at a second of the lesson if one is given.
  async load(lesson, at) {
    this.originalPlays = this.#isOriginal(lesson);
    this.target = at || null;
    const url = lesson.base + (this.originalPlays ? lesson.original : lesson).master;
    const { default: Hls } = await this.#library();
    if (!Hls.isSupported()) return this.#native(url, at);
    const measured = this.measuredBps();
    this.measured = false;
    this.hls?.destroy();
    clearTimeout(this.trying);
    const preloader = this.preloader ?? new Preloader({});
    this.preloader = null;
    const bps = measured ?? connectionBps() ?? rememberedBps() ?? DEFAULT_BPS;
    const windowed = Boolean(lesson.window_start_ms);
    // Without a start position, a growing playlist would begin at its end.
    const startPosition = !windowed && at ? at : 0;
    const loader = withPreload(Hls.DefaultConfig.loader, preloader);
    const audioStreamController = keepAudioBuffer(Hls.DefaultConfig.audioStreamController);
    const settings = { ...SETTINGS, abrEwmaDefaultEstimate: bps, startPosition, audioStreamController };
    const hls = new Hls({ ...settings, loader, pLoader: this.#loader(loader) });
    this.hls = hls;
    hls.subtitleDisplay = false;
    hls.on(Hls.Events.ERROR, (_, data) => this.#onError(Hls, data));
    hls.on(Hls.Events.FRAG_LOADED, () => this.#recovered());
    hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => (this.measured ||= frag.type === 'main' && frag.sn !== 'initSegment'));
    hls.once(Hls.Events.MANIFEST_PARSED, (_, { levels }) => {
      this.still = levels.every((level) => !level.width && !level.videoCodec);
      hls.startLevel = firstLevel(levels, { bps, weak: preloader.weak, measured: measured !== null });
      this.#guardStills(hls, Boolean(preloader.weak));
      this.on.parsed();
    });
    if (windowed) {
      hls.once(Hls.Events.INIT_PTS_FOUND, (_, data) => {
        this.offset = data.initPTS / data.timescale;
        if (at) this.seek(at);
      });
    }
    hls.loadSource(url);
    hls.attachMedia(this.video);
    this.recoveries = 0;
  }

  // A new stream is at 0 until the library has moved it.
  #onArrival() {
    const { currentTime, readyState, seeking } = this.video;
    const there = Math.abs(currentTime + this.offset - this.target) < 1;
    if (this.target !== null && readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !seeking && there) this.target = null;
  }

  #isOriginal(lesson) {
    return this.original && !this.soundOnly && Boolean(lesson.original);
  }

  // Reloads at the same second: a newer revision, or with or without video. The old stream plays on
  // until the new one's playlists have arrived, unless `atOnce`. Its last frame stays until the new
  // one's first.
  async reload(lesson, { atOnce = false } = {}) {
    if (!atOnce) await Promise.race([this.prepare(lesson, this.now()), new Promise((resolve) => setTimeout(resolve, MAX_PRELOAD_WAIT_MS))]);
    const { paused, playbackRate } = this.video;
    const showing = [...this.video.textTracks].some((track) => track.kind !== 'metadata' && track.mode === 'showing');
    const at = this.now();
    const frame = this.#lastFrame();
    await this.load(lesson, at);
    const { hls } = this;
    this.video.playbackRate = playbackRate;
    if (showing) this.showCaptions();
    if (!paused) this.video.play().catch(() => {});
    const there = () => {
      // Another reload came after it.
      if (this.hls !== hls) return frame?.remove();
      // The library starts a little before the requested second.
      const off = Math.abs(this.video.currentTime + this.offset - at) > 0.05;
      if (!off) return frame?.remove();
      this.seek(at);
      this.video.addEventListener('seeked', () => frame?.remove(), { once: true });
    };
    this.video.addEventListener('loadeddata', there, { once: true });
    this.video.addEventListener('error', () => frame?.remove(), { once: true });
    if (frame) document.getElementById('controller').after(frame);
  }

  // The current frame as an element that covers the video.
  #lastFrame() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || this.soundOnly) return null;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height, canvas.className] = [videoWidth, videoHeight, 'last-picture'];
    canvas.getContext('2d')?.drawImage(this.video, 0, 0);
    return canvas;
  }

  // Shows the first captions track as soon as there is one.
  showCaptions() {
    const show = () => {
      const track = [...this.video.textTracks].find((t) => t.kind === 'subtitles' || t.kind === 'captions');
      if (track) track.mode = 'showing';
      return Boolean(track);
    };
    if (!show()) this.video.textTracks.addEventListener('addtrack', show, { once: true });
  }

  // The current second of the lesson.
  now() {
    return this.target ?? this.video.currentTime + this.offset;
  }

  // Seeks to a second of the lesson.
  seek(seconds) {
    const to = Math.max(0, seconds - this.offset);
    if (this.target !== null) this.target = seconds;
    if (this.video.readyState === 0) {
      if (this.hls) this.hls.startLoad(to);
      this.video.addEventListener('loadedmetadata', () => (this.video.currentTime = to), { once: true });
    } else {
      this.video.currentTime = to;
    }
  }

  // Seconds that can be played without another byte.
  ahead() {
    const { buffered, currentTime, duration } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.2 && buffered.end(i) > currentTime) {
        return buffered.end(i) >= duration - 0.5 ? Infinity : buffered.end(i) - currentTime;
      }
    }
    return 0;
  }

  // Stops all requests.
  stop() {
    clearTimeout(this.trying);
    this.stopped = true;
    this.hls?.stopLoad();
  }

  // Retries now instead of later.
  retry() {
    clearTimeout(this.trying);
    this.wake?.();
    if (!this.lost || this.stopped || !this.hls) return;
    if (this.hls.levels?.length) this.hls.startLoad(this.video.currentTime);
    else this.hls.loadSource(this.hls.url);
  }

  // Loads the library, however long it takes. A browser may cache a failure, so each retry has
  // another address.
  async #library() {
    for (let tries = 0; ; tries++) {
      try {
        return await import(tries ? `${this.library}?${tries}` : this.library);
      } catch {
        const seconds = Math.min(2 ** (tries + 1), MAX_WAIT_S);
        this.#lost(seconds);
        await new Promise((resolve) => {
          this.wake = resolve;
          this.trying = setTimeout(resolve, seconds * 1000);
        });
      }
    }
  }

  // A loader that sees each multivariant playlist before hls.js does.
  #loader(Loader) {
    const read = (text) => {
      const audioOnly = audioOnlyPlaylist(text);
      this.hasAudioOnly = audioOnly !== null;
      return this.soundOnly && audioOnly ? audioOnly : text;
    };
    return class extends Loader {
      load(context, config, callbacks) {
        if (context.type !== 'manifest') return super.load(context, config, callbacks);
        const onSuccess = (response, ...rest) => callbacks.onSuccess({ ...response, data: read(response.data) }, ...rest);
        super.load(context, config, { ...callbacks, onSuccess });
      }
    };
  }

  // hls.js does not know stills: to it they are video like any other, and a cautious choice.
  #guardStills(hls, may) {
    const moving = hls.levels.find((level) => !isStills(level));
    if (!moving || moving === hls.levels[0]) return;
    const judge = () => {
      may = shouldUseStills(hls.bandwidthEstimate, moving, may);
      hls.config.minAutoBitrate = may ? 0 : moving.maxBitrate;
    };
    hls.config.minAutoBitrate = may ? 0 : moving.maxBitrate;
    const { FRAG_BUFFERED, FRAG_LOAD_EMERGENCY_ABORTED } = hls.constructor.Events;
    for (const event of [FRAG_BUFFERED, FRAG_LOAD_EMERGENCY_ABORTED]) hls.on(event, judge);
  }

  async #native(url, at) {
    this.video.src = url;
    if (at) this.seek(at);
    this.video.addEventListener('error', () => this.on.refused(url), { once: true });
    this.on.parsed();
  }

  #onError(Hls, data) {
    const network = data.type === Hls.ErrorTypes.NETWORK_ERROR;
    const status = data.response?.code ?? 0;
    const url = data.frag?.url ?? data.url ?? data.context?.url;
    if (network && (status === 401 || status === 403)) return this.on.refused(url);
    // Late captions are no reason for a warning.
    if (network && !data.fatal && status < 400 && !data.details.startsWith('subtitle')) return this.#lost();
    if (!data.fatal) return;
    // The stream that all browsers play may be intact.
    if (this.originalPlays && status >= 400) return this.on.broken();
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.recoveries++ < 3) {
      this.hls.recoverMediaError();
    } else if (network) {
      // The object is gone; a newer lesson may be there.
      if (status >= 400 && status < 500) this.on.refused(url);
      else this.#retryLater();
    } else {
      this.on.broken();
    }
  }

  #lost(seconds) {
    this.lost = true;
    this.on.away(seconds);
  }

  #recovered() {
    this.waits = 1;
    if (!this.lost) return;
    this.lost = false;
    this.on.back();
  }

  // The connection is lost: wait for it, longer each time, and resume.
  #retryLater() {
    this.waits = Math.min((this.waits || 1) * 2, MAX_WAIT_S);
    this.#lost(this.waits);
    clearTimeout(this.trying);
    this.trying = setTimeout(() => this.retry(), this.waits * 1000);
  }
}
