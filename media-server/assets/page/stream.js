// The stream: hls.js wherever it can run, the browser's own HLS only where it cannot (Chrome also says «maybe»
// to HLS, and means another player than the one we test).
import { showNotice } from './view.js';

const SETTINGS = {
  // Fragmented MP4 needs no transmuxing, so no worker, and the page's policy allows none.
  enableWorker: false,
  lowLatencyMode: false,
  // The lowest variant first: on a weak line it is the one that starts; a better one follows in seconds.
  startLevel: 0,
  testBandwidth: false,
  startFragPrefetch: true,
  abrEwmaDefaultEstimate: 250_000,
  capLevelToPlayerSize: true,
  maxBufferLength: 30,
  maxMaxBufferLength: 120,
  backBufferLength: 90,
  enableCEA708Captions: false,
  enableIMSC1: false,
};

export class Stream {
  constructor(video, library) {
    this.video = video;
    this.library = library;
    this.hls = null;
    // Seconds of the lesson at which the stream begins: above 0 where only a part of it may be seen.
    this.offset = 0;
  }

  // Loads a lesson's stream, at a second of the lesson where one is given.
  async load(lesson, at) {
    const url = lesson.base + lesson.master;
    const { default: Hls } = await import(this.library);
    if (!Hls.isSupported()) return this.#native(url, at);
    this.hls?.destroy();
    const windowed = Boolean(lesson.window_start_ms);
    // Without a start position a playlist that still grows would begin at its end.
    const startPosition = !windowed && at ? at : 0;
    const hls = new Hls({ ...SETTINGS, startPosition });
    this.hls = hls;
    hls.subtitleDisplay = false;
    hls.on(Hls.Events.ERROR, (_, data) => this.#failed(Hls, data));
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

  // The same second of a newer revision.
  async reload(lesson) {
    const { paused, playbackRate } = this.video;
    const showing = [...this.video.textTracks].some((track) => track.kind !== 'metadata' && track.mode === 'showing');
    const at = this.now();
    await this.load(lesson, at);
    this.video.playbackRate = playbackRate;
    if (showing) this.showCaptions();
    if (!paused) this.video.play().catch(() => {});
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
    return this.video.currentTime + this.offset;
  }

  // Moves to a second of the lesson.
  seek(seconds) {
    const to = Math.max(0, seconds - this.offset);
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

  #native(url, at) {
    this.video.src = url;
    if (at) this.seek(at);
  }

  #failed(Hls, data) {
    if (!data.fatal) return;
    const status = data.response?.code;
    if (status === 403 || status === 401) {
      showNotice({ title: 'This link has ended', text: 'Ask for a new link to go on watching.' });
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.recoveries++ < 3) {
      this.hls.recoverMediaError();
    } else if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      this.#again();
    } else {
      showNotice({ title: 'This lesson cannot be played here', text: 'Try another browser.' });
    }
  }

  // The line is gone: wait for it, longer each time, and go on where we were.
  #again() {
    this.waits = Math.min((this.waits || 1) * 2, 30);
    const hls = this.hls;
    const go = () => {
      if (this.hls !== hls) return;
      if (hls.levels?.length) hls.startLoad(this.video.currentTime);
      else hls.loadSource(hls.url);
    };
    setTimeout(go, this.waits * 1000);
    this.video.addEventListener('playing', () => (this.waits = 1), { once: true });
  }
}
