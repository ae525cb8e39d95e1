// The stream: hls.js wherever it can run, the browser's own HLS only where it cannot (Chrome also says «maybe»
// to HLS, and means another player than the one we test).

import { Early, lineBps, loaderWith, remember, rememberedBps } from './early.js';

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
// Longest wait between two tries while the line is gone.
const LONGEST_WAIT_S = 15;
// What a line is taken for that nothing is known of.
const UNKNOWN_BPS = 250_000;
// How much of a line a variant may need to be begun with.
const SHARE = 0.7;
// So much buffer, and a line so fast, that another stream is there before the picture would have to wait for long.
const [EASY_AHEAD_S, EASY_BPS] = [12, 2_000_000];
// How long a newer stream's playlists are waited for before the old one goes.
const READY_MS = 8000;

// A picture every few seconds, for lines that carry no moving one.
const isStills = (level) => level.frameRate > 0 && level.frameRate < 1;

// Whether the picture may stand still: where the line does not carry the lowest that moves. Going back takes more than
// staying, or a line in between would change at each segment.
export function mayStandStill(bps, moving, before) {
  return bps < (moving.averageBitrate || moving.bitrate) * (before ? 1.25 : 1.1);
}

// The level to begin with: the lowest that moves, unless the line is known to be too slow for it; after a change of
// streams, the best for what the line has shown.
export function firstLevel(levels, { bps, weak, shown }) {
  const moving = Math.max(levels.findIndex((level) => !isStills(level)), 0);
  if (shown) return Math.max(levels.findLastIndex((level) => level.bitrate <= bps * SHARE), bps < levels[moving].bitrate ? 0 : moving);
  return weak ? 0 : moving;
}

// A multivariant playlist with its variants without picture alone; null where it has none, or no others.
//
// hls.js never chooses such a variant while there are others: whoever wants the sound alone gets a playlist of it.
export function soundAlone(text) {
  const lines = text.split('\n');
  const kept = [];
  let [sound, pictures] = [0, 0];
  for (let n = 0; n < lines.length; n++) {
    if (!lines[n].startsWith('#EXT-X-STREAM-INF:')) {
      if (!/^#EXT-X-(I-FRAME-STREAM-INF:|MEDIA:TYPE=AUDIO)/.test(lines[n])) kept.push(lines[n]);
      continue;
    }
    if (/RESOLUTION=|CODECS="[^"]*(avc|hvc|hev|av01|vp0)/.test(lines[n])) {
      pictures++;
      n++;
    } else {
      sound++;
      // The variant is the sound itself, not a rendition beside it.
      kept.push(lines[n].replace(/,AUDIO="[^"]*"/, ''), lines[++n] ?? '');
    }
  }
  return sound && pictures ? kept.join('\n') : null;
}

// hls.js throws away all sound that is buffered when another variant has another rendition of it, and loads that from where
// the playback is: on a line that has just fallen, half a minute of sound is gone and the playback waits for new. Here what is
// there is played, and the other rendition goes on after it.
const soundThatLasts = (Controller) => class extends Controller {
  onAudioTrackSwitching(event, track) {
    super.onAudioTrackSwitching(event, { ...track, flushImmediate: true });
    if (this.switchingTrack) this.completeAudioSwitch(this.switchingTrack);
  }

  flushAudioIfNeeded() {}
};

// `told` hears: parsed(), refused(), away(seconds), back(), broken(why).
export class Stream {
  constructor(video, library, told) {
    this.video = video;
    this.library = library;
    this.told = told;
    this.hls = null;
    // Seconds of the lesson at which the stream begins: above 0 where only a part of it may be seen.
    this.offset = 0;
    // Whether only the sound is wanted, and whether it can be had alone.
    this.soundOnly = false;
    this.soundThere = false;
    // Whether the camera's own picture is wanted, where it is none that all browsers play; and whether it is what is loaded.
    this.original = false;
    this.originalPlays = false;
    // Where playback is to be, in seconds of the lesson, until it is there.
    this.target = null;
    for (const type of ['seeked', 'timeupdate']) video.addEventListener(type, () => this.#arrived());
    // Whether what plays has no picture.
    this.still = false;
    window.addEventListener('online', () => this.retry());
    window.addEventListener('pagehide', () => remember(this.shownBps()));
  }

  // Asks for what the stream of a lesson begins with; `load` takes it from there.
  prepare(lesson, at) {
    // That one begins with nothing of what the page was told.
    this.early = new Early(this.#isOriginal(lesson) ? {} : lesson, { at, soundOnly: this.soundOnly });
    return this.early.ready;
  }

  // The line's speed, where this player has measured it.
  shownBps() {
    return this.measured ? this.hls.bandwidthEstimate : null;
  }

  // Whether the stream still grows.
  growing() {
    return Boolean(this.hls?.levels?.[this.hls.loadLevel]?.details?.live);
  }

  // Whether another stream may take the place of this one without anyone waiting for long.
  easy() {
    return this.ahead() >= EASY_AHEAD_S && (this.shownBps() ?? 0) >= EASY_BPS;
  }

  // Loads a lesson's stream, at a second of the lesson where one is given.
  async load(lesson, at) {
    this.originalPlays = this.#isOriginal(lesson);
    this.target = at || null;
    const url = lesson.base + (this.originalPlays ? lesson.original : lesson).master;
    const { default: Hls } = await this.#library();
    if (!Hls.isSupported()) return this.#native(url, at);
    const shown = this.shownBps();
    this.measured = false;
    this.hls?.destroy();
    clearTimeout(this.trying);
    const early = this.early ?? new Early({});
    this.early = null;
    const bps = shown ?? lineBps() ?? rememberedBps() ?? UNKNOWN_BPS;
    const windowed = Boolean(lesson.window_start_ms);
    // Without a start position a playlist that still grows would begin at its end.
    const startPosition = !windowed && at ? at : 0;
    const loader = loaderWith(Hls.DefaultConfig.loader, early);
    const audioStreamController = soundThatLasts(Hls.DefaultConfig.audioStreamController);
    const settings = { ...SETTINGS, abrEwmaDefaultEstimate: bps, startPosition, audioStreamController };
    const hls = new Hls({ ...settings, loader, pLoader: this.#loader(loader) });
    this.hls = hls;
    hls.subtitleDisplay = false;
    hls.on(Hls.Events.ERROR, (_, data) => this.#failed(Hls, data));
    hls.on(Hls.Events.FRAG_LOADED, () => this.#back());
    hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => (this.measured ||= frag.type === 'main' && frag.sn !== 'initSegment'));
    hls.once(Hls.Events.MANIFEST_PARSED, (_, { levels }) => {
      this.still = levels.every((level) => !level.width && !level.videoCodec);
      hls.startLevel = firstLevel(levels, { bps, weak: early.weak, shown: shown !== null });
      this.#guardStills(hls, Boolean(early.weak));
      this.told.parsed();
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

  // A new stream is at 0 until its library has moved it.
  #arrived() {
    const { currentTime, readyState, seeking } = this.video;
    const there = Math.abs(currentTime + this.offset - this.target) < 1;
    if (this.target !== null && readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !seeking && there) this.target = null;
  }

  #isOriginal(lesson) {
    return this.original && !this.soundOnly && Boolean(lesson.original);
  }

  // The same second of a newer revision, or with or without the picture. The old one plays on until the new one's
  // playlists are there, unless it is not to load on meanwhile; its last picture stays until the new one's first.
  async reload(lesson, { atOnce = false } = {}) {
    if (!atOnce) await Promise.race([this.prepare(lesson, this.now()), new Promise((resolve) => setTimeout(resolve, READY_MS))]);
    const { paused, playbackRate } = this.video;
    const showing = [...this.video.textTracks].some((track) => track.kind !== 'metadata' && track.mode === 'showing');
    const at = this.now();
    const picture = this.#lastPicture();
    await this.load(lesson, at);
    const { hls } = this;
    this.video.playbackRate = playbackRate;
    if (showing) this.showCaptions();
    if (!paused) this.video.play().catch(() => {});
    const there = () => {
      // Another one came after it.
      if (this.hls !== hls) return picture?.remove();
      // The library begins a little before where it is told to.
      const off = Math.abs(this.video.currentTime + this.offset - at) > 0.05;
      if (!off) return picture?.remove();
      this.seek(at);
      this.video.addEventListener('seeked', () => picture?.remove(), { once: true });
    };
    this.video.addEventListener('loadeddata', there, { once: true });
    this.video.addEventListener('error', () => picture?.remove(), { once: true });
    if (picture) document.getElementById('controller').after(picture);
  }

  // What is seen now, as an element to lie over the video.
  #lastPicture() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || this.soundOnly) return null;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height, canvas.className] = [videoWidth, videoHeight, 'last-picture'];
    canvas.getContext('2d')?.drawImage(this.video, 0, 0);
    return canvas;
  }

  // Shows the first captions as soon as there are some.
  showCaptions() {
    const show = () => {
      const track = [...this.video.textTracks].find((t) => t.kind === 'subtitles' || t.kind === 'captions');
      if (track) track.mode = 'showing';
      return Boolean(track);
    };
    if (!show()) this.video.textTracks.addEventListener('addtrack', show, { once: true });
  }

  // Seconds of the lesson.
  now() {
    return this.target ?? this.video.currentTime + this.offset;
  }

  // Moves to a second of the lesson.
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

  // Asks for nothing more.
  stop() {
    clearTimeout(this.trying);
    this.stopped = true;
    this.hls?.stopLoad();
  }

  // Tries now what was going to be tried later.
  retry() {
    clearTimeout(this.trying);
    this.wake?.();
    if (!this.lost || this.stopped || !this.hls) return;
    if (this.hls.levels?.length) this.hls.startLoad(this.video.currentTime);
    else this.hls.loadSource(this.hls.url);
  }

  // The library, however long it takes: a browser may keep a failure, so another try has another address.
  async #library() {
    for (let tries = 0; ; tries++) {
      try {
        return await import(tries ? `${this.library}?${tries}` : this.library);
      } catch {
        const seconds = Math.min(2 ** (tries + 1), LONGEST_WAIT_S);
        this.#lost(seconds);
        await new Promise((resolve) => {
          this.wake = resolve;
          this.trying = setTimeout(resolve, seconds * 1000);
        });
      }
    }
  }

  // Sees each multivariant playlist before hls.js does.
  #loader(Loader) {
    const read = (text) => {
      const sound = soundAlone(text);
      this.soundThere = sound !== null;
      return this.soundOnly && sound ? sound : text;
    };
    return class extends Loader {
      load(context, config, callbacks) {
        if (context.type !== 'manifest') return super.load(context, config, callbacks);
        const onSuccess = (response, ...rest) => callbacks.onSuccess({ ...response, data: read(response.data) }, ...rest);
        super.load(context, config, { ...callbacks, onSuccess });
      }
    };
  }

  // hls.js knows nothing of stills: to it they are a picture like any other, and a cautious choice.
  #guardStills(hls, may) {
    const moving = hls.levels.find((level) => !isStills(level));
    if (!moving || moving === hls.levels[0]) return;
    const judge = () => {
      may = mayStandStill(hls.bandwidthEstimate, moving, may);
      hls.config.minAutoBitrate = may ? 0 : moving.maxBitrate;
    };
    hls.config.minAutoBitrate = may ? 0 : moving.maxBitrate;
    const { FRAG_BUFFERED, FRAG_LOAD_EMERGENCY_ABORTED } = hls.constructor.Events;
    for (const event of [FRAG_BUFFERED, FRAG_LOAD_EMERGENCY_ABORTED]) hls.on(event, judge);
  }

  async #native(url, at) {
    this.video.src = url;
    if (at) this.seek(at);
    this.video.addEventListener('error', () => this.told.refused(), { once: true });
    this.told.parsed();
  }

  #failed(Hls, data) {
    const network = data.type === Hls.ErrorTypes.NETWORK_ERROR;
    const status = data.response?.code ?? 0;
    if (network && (status === 401 || status === 403)) return this.told.refused();
    // Captions that are late are no reason for alarm.
    if (network && !data.fatal && status < 400 && !data.details.startsWith('subtitle')) return this.#lost();
    if (!data.fatal) return;
    // What all browsers play may be whole.
    if (this.originalPlays && status >= 400) return this.told.broken();
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.recoveries++ < 3) {
      this.hls.recoverMediaError();
    } else if (network) {
      // Something that is not there any more: a newer lesson may be.
      if (status >= 400 && status < 500) this.told.refused();
      else this.#again();
    } else {
      this.told.broken();
    }
  }

  #lost(seconds) {
    this.lost = true;
    this.told.away(seconds);
  }

  #back() {
    this.waits = 1;
    if (!this.lost) return;
    this.lost = false;
    this.told.back();
  }

  // The line is gone: wait for it, longer each time, and go on where we were.
  #again() {
    this.waits = Math.min((this.waits || 1) * 2, LONGEST_WAIT_S);
    this.#lost(this.waits);
    clearTimeout(this.trying);
    this.trying = setTimeout(() => this.retry(), this.waits * 1000);
  }
}
