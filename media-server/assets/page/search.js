// Search in this lesson. A hit starts just before the word.
import { seekTarget } from './transcript.js';
import { clock, el } from './view.js';

const PAUSE_MS = 220;
const LIMIT = 50;
const MAX_SIMILAR = 5;
// Of pairs of a query and any passage, one in fifteen is nearer; of the right ones, three in four.
const MIN_SCORE = 0.18;

export class Search {
  constructor(player, transcript) {
    this.player = player;
    this.transcript = transcript;
    this.query = document.getElementById('query');
    this.hits = document.getElementById('hits');
    this.lines = document.getElementById('lines');
    this.count = document.getElementById('count');
    this.asked = '';
    this.query.addEventListener('input', () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#ask(), PAUSE_MS);
    });
    this.query.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown' && !this.hits.hidden) {
        event.preventDefault();
        this.hits.querySelector('.cue')?.focus();
      }
      if (event.key === 'Escape') this.#clear();
    });
    document.getElementById('find').addEventListener('submit', (event) => {
      event.preventDefault();
      clearTimeout(this.timer);
      if (this.query.value.trim()) this.#ask();
      else this.#nothing();
    });
    this.hits.addEventListener('keydown', (event) => this.#key(event));
    // The viewer typed before this script had loaded.
    if (this.query.value.trim()) this.#ask();
  }

  async #ask() {
    const text = this.query.value.trim();
    if (!text) return this.#clear();
    if (text === this.asked) return;
    if (!this.player.lesson().transcript) {
      this.count.textContent = 'There is no transcript to search yet.';
      return;
    }
    this.asked = text;
    this.pending?.abort();
    this.pending = new AbortController();
    const url = `${this.player.lesson().base}search?limit=${LIMIT}&q=${encodeURIComponent(text)}`;
    try {
      const response = await fetch(url, { signal: this.pending.signal, cache: 'no-store' });
      if (response.status === 403) this.player.refused();
      if (!response.ok) throw new Error(String(response.status));
      this.#show(text, await response.json());
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.asked = '';
      this.count.textContent = 'The search failed. Press Enter to try again.';
    }
  }

  #show(text, { moments, meaning = [] }) {
    // The server returns the best first; within one lesson they are listed in order of time.
    moments.sort((a, b) => a.start_ms - b.start_ms);
    const near = meaning.filter((passage) => passage.score >= MIN_SCORE).slice(0, MAX_SIMILAR);
    const similar = near.map((passage) =>
      this.#hit({ ...passage, cue_start_ms: passage.start_ms, highlights: [] }));
    similar[0]?.prepend(el('h2', '', 'Similar in meaning'));
    const hits = moments.map((moment) => this.#hit(moment));
    // Passages of the same meaning say more than moments with some of the words.
    const meaningFirst = similar.length > 0 && moments.every((moment) => moment.match === 'partial');
    if (meaningFirst) hits[0]?.prepend(el('h2', '', 'Some of the words'));
    this.#list(meaningFirst ? [...similar, ...hits] : [...hits, ...similar]);
    this.hits.dataset.query = text;
    this.count.textContent = this.#summary(text, moments.length, meaningFirst);
  }

  // With no hits, this sentence is the result.
  #summary(text, n, meaningFirst) {
    if (meaningFirst) return n ? 'No moment has all of these words.' : 'No moment has these words.';
    if (!n) return `“${text}” was not found in this lesson. Try fewer or other words.`;
    return n === LIMIT ? `The first ${n} moments` : n === 1 ? '1 moment' : `${n} moments`;
  }

  #list(items) {
    this.hits.replaceChildren(...items);
    this.hits.hidden = false;
    this.hits.scrollTop = 0;
    this.lines.hidden = true;
    document.getElementById('follow').hidden = true;
  }

  #hit(moment) {
    const button = el('button', 'cue');
    button.type = 'button';
    button.dataset.startMs = moment.start_ms;
    const text = el('p');
    let at = 0;
    for (const [from, to] of moment.highlights) {
      text.append(moment.text.slice(at, from), el('mark', '', moment.text.slice(from, to)));
      at = to;
    }
    text.append(moment.text.slice(at));
    button.append(el('time', '', clock(moment.start_ms)), text);
    button.addEventListener('click', () => {
      this.hits.querySelector('.now')?.classList.remove('now');
      this.hits.querySelector('[aria-current]')?.removeAttribute('aria-current');
      button.classList.add('now');
      button.setAttribute('aria-current', 'true');
      this.player.seek(seekTarget(moment.start_ms, moment.cue_start_ms));
    });
    const item = el('li');
    item.append(button);
    return item;
  }

  #key(event) {
    const item = event.target.closest('li');
    const to = {
      ArrowDown: item?.nextElementSibling,
      ArrowUp: item?.previousElementSibling,
      Home: this.hits.firstElementChild,
      End: this.hits.lastElementChild,
    }[event.key];
    if (to) {
      event.preventDefault();
      to.querySelector('.cue').focus();
    } else if (event.key === 'ArrowUp' || event.key === 'Escape') {
      event.preventDefault();
      if (event.key === 'Escape') this.#clear();
      this.query.focus();
    }
  }

  // An empty query.
  #nothing() {
    this.#clear();
    this.count.textContent = 'Type a word that was said, then press Enter.';
  }

  #clear() {
    this.pending?.abort();
    this.asked = '';
    this.query.value = '';
    this.count.textContent = '';
    this.hits.hidden = true;
    this.lines.hidden = false;
    delete this.hits.dataset.query;
    this.transcript.returned();
  }
}
