// The words beside the picture. They follow the playback, and a click on one goes there.
import { clock, el } from './view.js';

// A word is heard whole when playback begins a little before it.
const LEAD_MS = 500;
// For so long after we scrolled, or the page changed its size, a scroll is not the reader's.
const OURS_MS = 1200;
// Cues a block: the browser lays out only the blocks that can be seen.
const CHUNK = 40;
// Words come in pages of this length, that where the playback is first: a whole lesson's would hold up the picture.
const PAGE_MS = 600_000;
// The others come while so many seconds are buffered.
const ROOM_S = 20;
// One that did not come is asked for again after this, then after twice as long, up to sixteen times.
const AGAIN_MS = 5000;

// Where to begin so that a word is heard: a little before it, and not before its cue. In seconds.
export function seekTarget(wordMs, cueMs) {
  return Math.max(wordMs - LEAD_MS, cueMs + 10, 0) / 1000;
}

// The first of `count` pages that is not here yet: that at `at`, the one before it, those after it, and then from the start.
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
    // Pages by number; and the cues and rows of all that are here, in order.
    this.pages = new Map();
    this.cues = [];
    this.rows = [];
    this.row = null;
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
      (this.row ?? this.rows[0])?.focus({ preventScroll: true });
    });
    player.video.addEventListener('timeupdate', () => this.#update());
    player.video.addEventListener('seeking', () => this.#update());
  }

  // Loads the page of words that is being played; the others follow by themselves.
  async load() {
    this.explain();
    if (!this.player.lesson().transcript || this.loading) return;
    this.loading = true;
    let found = await this.#page(this.#playing());
    const count = Math.max(1, Math.ceil(found.duration_ms / PAGE_MS));
    // At the very end the last page may begin after the last word's.
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

  // The page that is being played.
  #playing() {
    const page = Math.max(0, Math.floor((this.player.stream.now() * 1000) / PAGE_MS));
    return Math.min(page, (this.count ?? Infinity) - 1);
  }

  // One page; nothing of it where it does not come.
  async #page(number) {
    const { base, transcript } = this.player.lesson();
    const part = `?from_ms=${number * PAGE_MS}&to_ms=${(number + 1) * PAGE_MS}`;
    const answer = await fetch(base + transcript + part).catch(() => null);
    if (answer?.status === 403) this.player.refused();
    const found = answer?.ok ? await answer.json().catch(() => null) : null;
    return found?.cues ? { ...found, number } : {};
  }

  // All other pages: from the playback to the end, then from the start; until the lesson may not be watched any more.
  async #rest() {
    const { video, stream } = this.player;
    for (let failed = 0; ; ) {
      const at = this.#playing();
      const next = nextPage(this.pages, this.count, at);
      if (next === null) break;
      if (this.player.over()) return;
      // What is being played is wanted now, and the cue before it may be still on.
      if (next !== at && stream.ahead() < ROOM_S) {
        const heard = new AbortController();
        await new Promise((resolve) => {
          for (const type of ['progress', 'seeked', 'timeupdate']) video.addEventListener(type, resolve, { signal: heard.signal });
        });
        heard.abort();
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
    if (!this.cues.length) this.#say('Nothing was said in this lesson, as far as we could hear.');
  }

  #add({ number, cues }) {
    const page = { cues: cues.filter((cue) => cue.text.trim()), box: el('div') };
    page.rows = page.cues.map((cue) => this.#row(cue));
    for (let at = 0; at < page.rows.length; at += CHUNK) {
      const chunk = el('div', 'chunk');
      chunk.append(...page.rows.slice(at, at + CHUNK));
      page.box.append(chunk);
    }
    this.pages.set(number, page);
    const inOrder = [...this.pages.keys()].sort((a, b) => a - b);
    const after = this.pages.get(inOrder[inOrder.indexOf(number) + 1]);
    // What is read stays where it is.
    const read = this.rows.find((row) => row.getBoundingClientRect().bottom > this.box.getBoundingClientRect().top);
    const before = read?.getBoundingClientRect().top;
    this.#ours();
    // Laid out whole, so that its height is what it will be; from then on the browser knows it.
    page.box.className = 'new';
    this.box.insertBefore(page.box, after?.box ?? null);
    if (read) this.box.scrollTop += read.getBoundingClientRect().top - before;
    requestAnimationFrame(() => requestAnimationFrame(() => (page.box.className = '')));
    this.cues = inOrder.flatMap((each) => this.pages.get(each).cues);
    this.rows = inOrder.flatMap((each) => this.pages.get(each).rows);
    if (!this.tab) this.#stop(this.rows[0]);
    this.#update();
  }

  // The one row that the tab key comes to.
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
    if (!words.length) text.textContent = cue.text;
    row.append(el('time', '', clock(cue.start_ms)), text);
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

  // The way back is there where there is something to go back to.
  #offer() {
    this.follow.hidden = this.following || this.box.hidden || !this.rows.length;
  }

  #ours() {
    this.oursUntil = performance.now() + OURS_MS;
  }

  // The row of the last cue that has begun; none before the first, or where its page is not here yet.
  #at(ms) {
    let [low, high] = [0, this.cues.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.cues[middle].start_ms <= ms) low = middle + 1;
      else high = middle;
    }
    const row = this.rows[low - 1];
    const [now, then] = [ms, row?.cue.start_ms].map((time) => Math.floor(time / PAGE_MS));
    // What was said last may be on a page that is not here.
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
