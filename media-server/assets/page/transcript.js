// The transcript next to the video. It follows the playback, and a click on a word seeks to it.
import { clock, el } from './view.js';

// Playback starts this much before a word, so that all of it is audible.
const LEAD_MS = 200;
// For this long after our own scrolling, or a change of the page's size, a scroll event is not the
// reader's.
const OURS_MS = 1200;
// Cues per block: the browser lays out only visible blocks.
const CHUNK = 40;
// The transcript loads in pages of this length, the current one first: an entire lesson's words
// would delay the video.
const PAGE_MS = 600_000;
// The other pages load while so many seconds are buffered.
const ROOM_S = 20;
// A page that failed is requested again after this, then after twice as long, up to sixteen times.
const AGAIN_MS = 5000;

// The second to start at: a little before a word, but not before its cue.
export function seekTarget(wordMs, cueMs) {
  return Math.max(wordMs - LEAD_MS, cueMs + 10, 0) / 1000;
}

// The next of `count` pages to load: the current one (`at`), the one before it, those after it,
// then from the start.
export function nextPage(here, count, at) {
  if (here.has(at) && at > 0 && !here.has(at - 1)) return at - 1;
  for (let n = 0; n < count; n++) {
    if (!here.has((at + n) % count)) return (at + n) % count;
  }
  return null;
}

export class Transcript {
  constructor(player) {
    this.player = player;
    this.box = document.getElementById('lines');
    this.follow = document.getElementById('follow');
    // Pages by number, and the cues and rows of all loaded pages in order.
    this.pages = new Map();
    this.cues = [];
    this.rows = [];
    this.row = null;
    this.word = null;
    // The list follows the playback until its reader scrolls, and again on request.
    this.following = true;
    this.oursUntil = 0;
    this.loaded = false;
    this.box.addEventListener('click', (event) => this.#click(event));
    this.box.addEventListener('keydown', (event) => this.#key(event));
    for (const type of ['wheel', 'touchmove']) {
      this.box.addEventListener(type, () => this.#handsOff(), { passive: true });
    }
    // The scroll bar, the find bar, or a screen reader.
    this.box.addEventListener('scroll', () => { if (performance.now() > this.oursUntil) this.#handsOff(); }, { passive: true });
    this.box.addEventListener('scrollend', () => (this.oursUntil = Math.min(this.oursUntil, performance.now() + 100)));
    new ResizeObserver(() => this.#ours()).observe(this.box);
    this.follow.addEventListener('click', () => {
      this.#followAgain();
      // The button disappears: move its focus to the current row.
      (this.row ?? this.rows[0])?.focus({ preventScroll: true });
    });
    player.video.addEventListener('timeupdate', () => this.#update());
    player.video.addEventListener('seeking', () => this.#update());
  }

  // Loads the current page; the others follow by themselves.
  async load() {
    this.explain();
    if (!this.player.lesson().transcript || this.loading) return;
    this.loading = true;
    let found = await this.#page(this.#playing());
    const count = Math.max(1, Math.ceil(found.duration_ms / PAGE_MS));
    // At the very end, the playback may be beyond the last page.
    if (found.number >= count) found = await this.#page(count - 1);
    this.loading = false;
    if (!found.cues) return this.#say('The transcript could not be loaded.', () => this.load());
    this.loaded = true;
    if (found.language) this.box.lang = found.language;
    this.box.replaceChildren();
    this.count = count;
    this.#add(found);
    this.#update(true);
    this.#rest();
  }

  // The page of the current second.
  #playing() {
    const page = Math.max(0, Math.floor((this.player.stream.now() * 1000) / PAGE_MS));
    return Math.min(page, (this.count ?? Infinity) - 1);
  }

  // Loads one page; an empty object if that fails.
  async #page(number) {
    const { base, transcript } = this.player.lesson();
    const part = `?from_ms=${number * PAGE_MS}&to_ms=${(number + 1) * PAGE_MS}`;
    const response = await fetch(base + transcript + part).catch(() => null);
    if (response?.status === 403) this.player.refused();
    const found = response?.ok ? await response.json().catch(() => null) : null;
    return found?.cues ? { ...found, number } : {};
  }

  // Loads all other pages: from the current second to the end, then from the start, until the
  // session ends.
  async #rest() {
    const { video, stream } = this.player;
    for (let failed = 0; ; ) {
      const at = this.#playing();
      const next = nextPage(this.pages, this.count, at);
      if (next === null) break;
      if (this.player.over()) return;
      // The current page is needed now, because the cue before it may still be spoken.
      if (next !== at && stream.ahead() < ROOM_S) {
        const listening = new AbortController();
        await new Promise((resolve) => {
          for (const type of ['progress', 'seeked', 'timeupdate']) video.addEventListener(type, resolve, { signal: listening.signal });
        });
        listening.abort();
        continue;
      }
      const found = await this.#page(next);
      if (found.cues) {
        failed = 0;
        this.#add(found);
      } else {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS * 2 ** Math.min(failed, 4)));
        failed += 1;
      }
    }
    if (!this.cues.length) this.#say('No speech was found in this lesson.');
  }

  #add({ number, cues }) {
    // Who may correct can also take back that nothing was said.
    const isShown = (cue) => cue.text.trim() || (cue.corrected && this.player.lesson().correct);
    const page = { cues: cues.filter(isShown), box: el('div') };
    page.rows = page.cues.map((cue) => this.#row(cue));
    for (let at = 0; at < page.rows.length; at += CHUNK) {
      const chunk = el('div', 'chunk');
      chunk.append(...page.rows.slice(at, at + CHUNK));
      page.box.append(chunk);
    }
    this.pages.set(number, page);
    const inOrder = [...this.pages.keys()].sort((a, b) => a - b);
    const after = this.pages.get(inOrder[inOrder.indexOf(number) + 1]);
    // The row at the top keeps its position.
    const read = this.rows.find((row) => row.getBoundingClientRect().bottom > this.box.getBoundingClientRect().top);
    const before = read?.getBoundingClientRect().top;
    this.#ours();
    // Lay out the entire page once, so that the browser knows its height from then on.
    page.box.className = 'new';
    this.box.insertBefore(page.box, after?.box ?? null);
    if (read) this.box.scrollTop += read.getBoundingClientRect().top - before;
    requestAnimationFrame(() => requestAnimationFrame(() => (page.box.className = '')));
    this.cues = inOrder.flatMap((each) => this.pages.get(each).cues);
    this.rows = inOrder.flatMap((each) => this.pages.get(each).rows);
    if (!this.tab) this.#stop(this.rows[0]);
    this.#update();
  }

  // Marks the one row that the tab key reaches.
  #stop(row) {
    if (!row) return;
    if (this.tab) this.tab.tabIndex = -1;
    row.tabIndex = 0;
    this.tab = row;
  }

  #row(cue) {
    const row = el('div', 'cue');
    row.role = 'button';
    row.tabIndex = -1;
    row.cue = cue;
    row.dataset.startMs = cue.start_ms;
    const text = el('p');
    const words = cue.words?.length ? cue.words : [];
    words.forEach((word, w) => {
      const span = el('span', 'w', word.text.trim());
      span.dataset.w = w;
      text.append(span, ' ');
    });
    if (!words.length) text.textContent = cue.text || 'Nothing is said here.';
    if (!cue.text) row.dataset.silent = '';
    row.append(el('time', '', clock(cue.start_ms)), text);
    return row;
  }

  // Replaces a cue by its corrected form; returns its new row.
  replace(row, cue) {
    const next = this.#row(cue);
    for (const { rows, cues } of [...this.pages.values(), this]) {
      const at = rows.indexOf(row);
      if (at >= 0) [rows[at], cues[at]] = [next, cue];
    }
    row.replaceWith(next);
    if (this.tab === row) this.#stop(next);
    this.row = this.word = null;
    this.#update();
    return next;
  }

  // Stops following the playback.
  hold() {
    this.#handsOff();
  }

  // Explains why there is no transcript (yet).
  explain() {
    const { transcript, state, steps, sound } = this.player.lesson();
    if (this.loaded || this.loading) return;
    const step = steps?.find(({ name }) => name === 'transcribe');
    if (transcript) this.#say('The transcript is loading.');
    else if (sound === false) this.#say('This lesson has no sound, so it has no transcript.');
    else if (step?.state === 'failed') this.#say('The transcript of this lesson could not be made.');
    else if (['ready', 'failed', 'cancelled', 'deleted'].includes(state)) this.#say('This lesson has no transcript.');
    else if (step?.state === 'leased' && step.total_ms) {
      this.#say(`The transcript is being written: ${Math.floor((100 * step.done_ms) / step.total_ms)} %.`);
    } else this.#say('The transcript appears here when it is ready.');
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
    const { cue } = row;
    const word = cue.words?.[event.target.closest('.w')?.dataset.w];
    this.#setFollowing(true);
    this.player.seek(seekTarget(word ? word.start_ms : cue.start_ms, cue.start_ms));
  }

  #key(event) {
    const row = event.target.closest('.cue');
    if (!row) return;
    const at = this.rows.indexOf(row);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1 }[event.key];
    if (to !== undefined && this.rows[to]) {
      event.preventDefault();
      this.#handsOff();
      this.#stop(this.rows[to]);
      this.rows[to].focus({ preventScroll: false });
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.#setFollowing(true);
      this.player.seek(seekTarget(row.cue.start_ms, row.cue.start_ms));
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

  // Shows the button only if there is something to return to.
  #offer() {
    this.follow.hidden = this.following || this.box.hidden || !this.rows.length;
  }

  #ours() {
    this.oursUntil = performance.now() + OURS_MS;
  }

  // The row of the last cue that has started; none before the first, or if its page is not loaded
  // yet.
  #at(ms) {
    let [low, high] = [0, this.cues.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.cues[middle].start_ms <= ms) low = middle + 1;
      else high = middle;
    }
    const row = this.rows[low - 1];
    const [now, then] = [ms, row?.cue.start_ms].map((time) => Math.floor(time / PAGE_MS));
    // The last cue may be on a page that is not loaded.
    return row && this.pages.has(now) && (then === now || then === now - 1) ? row : null;
  }

  #update(jump = false) {
    if (!this.loaded || !this.rows.length) return;
    const ms = this.player.stream.now() * 1000 + 20;
    const row = this.#at(ms);
    const other = row !== this.row;
    if (other) {
      this.row?.classList.remove('now');
      this.row?.removeAttribute('aria-current');
      row?.classList.add('now');
      row?.setAttribute('aria-current', 'true');
      if (this.following && !this.box.contains(document.activeElement)) this.#stop(row);
    }
    const spoken = row?.cue.words?.findLastIndex((word) => word.start_ms <= ms && word.end_ms + 400 > ms) ?? -1;
    const word = spoken >= 0 ? row.querySelector(`[data-w="${spoken}"]`) : null;
    if (word !== this.word) {
      this.word?.classList.remove('now');
      word?.classList.add('now');
      this.word = word;
    }
    this.#offer();
    if (this.following && row && (other || jump)) this.#show(row, jump);
    this.row = row;
  }

  // Scrolls a row to the upper third of the list, never the page.
  #show(row, jump) {
    if (this.box.hidden) return;
    const box = this.box.getBoundingClientRect();
    const top = this.box.scrollTop + row.getBoundingClientRect().top - box.top - box.height * 0.3;
    const far = Math.abs(top - this.box.scrollTop) > box.height * 2;
    const still = jump || far || matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#ours();
    this.box.scrollTo({ top, behavior: still ? 'instant' : 'smooth' });
  }

  // Shows the list again after a search, at the current second.
  returned() {
    this.#followAgain();
  }
}
