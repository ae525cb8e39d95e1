// The words beside the picture. They follow the playback, and a click on one goes there.
import { clock, el } from './view.js';

// A word is heard whole when playback begins a little before it.
const LEAD_MS = 500;
// For so long after we scrolled, or the page changed its size, a scroll is not the reader's.
const OURS_MS = 1200;
// Cues a block: the browser lays out only the blocks that can be seen.
const CHUNK = 40;

// Where to begin so that a word is heard: a little before it, and not before its cue. In seconds.
export function seekTarget(wordMs, cueMs) {
  return Math.max(wordMs - LEAD_MS, cueMs + 10, 0) / 1000;
}

export class Transcript {
  constructor(player) {
    this.player = player;
    this.box = document.getElementById('lines');
    this.follow = document.getElementById('follow');
    this.cues = [];
    this.rows = [];
    this.current = -1;
    this.word = null;
    // The list follows until its reader scrolls, and then not before it is told to.
    this.following = true;
    this.oursUntil = 0;
    this.loaded = false;
    this.box.addEventListener('click', (event) => this.#click(event));
    this.box.addEventListener('keydown', (event) => this.#key(event));
    for (const type of ['wheel', 'touchmove']) {
      this.box.addEventListener(type, () => this.#handsOff(), { passive: true });
    }
    // The scroll bar, the find bar, a screen reader.
    this.box.addEventListener('scroll', () => { if (performance.now() > this.oursUntil) this.#handsOff(); }, { passive: true });
    this.box.addEventListener('scrollend', () => (this.oursUntil = Math.min(this.oursUntil, performance.now() + 100)));
    new ResizeObserver(() => this.#ours()).observe(this.box);
    this.follow.addEventListener('click', () => {
      this.#followAgain();
      // The button goes: its focus to the row that is being said.
      this.rows[Math.max(this.current, 0)]?.focus({ preventScroll: true });
    });
    player.video.addEventListener('timeupdate', () => this.#update());
    player.video.addEventListener('seeking', () => this.#update());
  }

  async load() {
    const { base, transcript } = this.player.lesson();
    this.explain();
    if (!transcript || this.loading) return;
    this.loading = true;
    const answer = await fetch(base + transcript).catch(() => null);
    if (answer?.status === 403) this.player.refused();
    const { cues, language } = answer?.ok ? await answer.json().catch(() => ({})) : {};
    this.loading = false;
    if (!cues) return this.#say('The transcript could not be loaded.', () => this.load());
    this.loaded = true;
    this.cues = cues.filter((cue) => cue.text.trim());
    if (!this.cues.length) return this.#say('Nothing was said in this lesson, as far as we could hear.');
    if (language) this.box.lang = language;
    this.box.replaceChildren();
    for (let at = 0; at < this.cues.length; at += CHUNK) {
      const chunk = el('div', 'chunk');
      for (let n = at; n < Math.min(at + CHUNK, this.cues.length); n++) chunk.append(this.#row(n));
      this.box.append(chunk);
      // Long lessons have thousands of cues; the picture must not stutter for them.
      if (at % 400 === 360) await new Promise((resolve) => setTimeout(resolve));
    }
    this.#stop(0);
    this.#update(true);
  }

  // The one row that the tab key comes to.
  #stop(n) {
    if (!this.rows[n]) return;
    if (this.rows[this.tab]) this.rows[this.tab].tabIndex = -1;
    this.rows[n].tabIndex = 0;
    this.tab = n;
  }

  #row(n) {
    const cue = this.cues[n];
    const row = el('div', 'cue');
    row.role = 'button';
    row.tabIndex = -1;
    row.dataset.n = n;
    row.dataset.startMs = cue.start_ms;
    const text = el('p');
    const words = cue.words?.length ? cue.words : [];
    words.forEach((word, w) => {
      const span = el('span', 'w', word.text.trim());
      span.dataset.w = w;
      text.append(span, ' ');
    });
    if (!words.length) text.textContent = cue.text;
    row.append(el('time', '', clock(cue.start_ms)), text);
    this.rows[n] = row;
    return row;
  }

  // Why there are no words (yet).
  explain() {
    const { transcript, state, steps, sound } = this.player.lesson();
    if (this.loaded || this.loading) return;
    const step = steps?.find(({ name }) => name === 'transcribe');
    if (transcript) this.#say('The transcript is on its way.');
    else if (sound === false) this.#say('This lesson has no sound, and so no words.');
    else if (step?.state === 'failed') this.#say('The words of this lesson could not be written down.');
    else if (['ready', 'failed', 'cancelled', 'deleted'].includes(state)) this.#say('There is no transcript of this lesson.');
    else if (step?.state === 'leased' && step.total_ms) {
      this.#say(`The transcript is being written: ${Math.floor((100 * step.done_ms) / step.total_ms)} %.`);
    } else this.#say('The transcript appears here when it is written.');
  }

  #say(text, again) {
    let empty = this.box.querySelector('.empty');
    if (!empty || this.box.children.length > 1) this.box.replaceChildren((empty = el('p', 'empty')));
    if (empty.textContent !== text || again) empty.textContent = text;
    if (!again) return;
    const button = el('button', 'pill', 'Try again');
    button.type = 'button';
    button.addEventListener('click', again);
    this.box.append(button);
  }

  #click(event) {
    const row = event.target.closest('.cue');
    if (!row || String(getSelection())) return;
    const cue = this.cues[row.dataset.n];
    const word = cue.words?.[event.target.closest('.w')?.dataset.w];
    this.#setFollowing(true);
    this.player.seek(seekTarget(word ? word.start_ms : cue.start_ms, cue.start_ms));
  }

  #key(event) {
    const row = event.target.closest('.cue');
    if (!row) return;
    const at = Number(row.dataset.n);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1 }[event.key];
    if (to !== undefined && this.rows[to]) {
      event.preventDefault();
      this.#handsOff();
      this.#stop(to);
      this.rows[to].focus({ preventScroll: false });
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.#setFollowing(true);
      this.player.seek(seekTarget(this.cues[at].start_ms, this.cues[at].start_ms));
    } else if (event.key === 'PageDown' || event.key === 'PageUp') {
      this.#handsOff();
    }
  }

  #handsOff() {
    this.#setFollowing(false);
  }

  #setFollowing(on) {
    this.following = on;
    this.#offer();
  }

  #followAgain() {
    this.#setFollowing(true);
    this.#update(true);
  }

  // The way back is there where there is something to go back to.
  #offer() {
    this.follow.hidden = this.following || this.box.hidden || !this.rows.length;
  }

  #ours() {
    this.oursUntil = performance.now() + OURS_MS;
  }

  // The last cue that has begun; -1 before the first.
  #at(ms) {
    let [low, high] = [0, this.cues.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.cues[middle].start_ms <= ms) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #update(jump = false) {
    if (!this.loaded || !this.rows.length) return;
    const ms = this.player.stream.now() * 1000 + 20;
    const at = this.#at(ms);
    if (at !== this.current) {
      this.rows[this.current]?.classList.remove('now');
      this.rows[this.current]?.removeAttribute('aria-current');
      this.rows[at]?.classList.add('now');
      this.rows[at]?.setAttribute('aria-current', 'true');
      if (this.following && !this.box.contains(document.activeElement)) this.#stop(at);
    }
    const spoken = this.cues[at]?.words?.findLastIndex((word) => word.start_ms <= ms && word.end_ms + 400 > ms) ?? -1;
    const word = spoken >= 0 ? this.rows[at].querySelector(`[data-w="${spoken}"]`) : null;
    if (word !== this.word) {
      this.word?.classList.remove('now');
      word?.classList.add('now');
      this.word = word;
    }
    this.#offer();
    if (this.following && (at !== this.current || jump)) this.#show(this.rows[Math.max(at, 0)], jump);
    this.current = at;
  }

  // Brings a row to the upper third, scrolling the list alone and never the page.
  #show(row, jump) {
    if (this.box.hidden) return;
    const box = this.box.getBoundingClientRect();
    const top = this.box.scrollTop + row.getBoundingClientRect().top - box.top - box.height * 0.3;
    const far = Math.abs(top - this.box.scrollTop) > box.height * 2;
    const still = jump || far || matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#ours();
    this.box.scrollTo({ top, behavior: still ? 'instant' : 'smooth' });
  }

  // Shows the list again after a search, where the playback is.
  returned() {
    this.#followAgain();
  }
}
