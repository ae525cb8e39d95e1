// Correcting a line of the transcript in place, for viewers whose link grants it: by the button
// next to the line that has the focus or the pointer, or by the key `e` on the line.
import { clock, el, say } from './view.js';

// hls.js gives captions the times of their cues, in seconds.
const SAME_MS = 20;
// So long an answer is awaited.
const ANSWER_MS = 15_000;
const REPLACED = 'The transcript has changed. Load the page again.';

// Why a request failed, and what helps.
function reason(response, what) {
  if (response?.status === 403) return `${what} This link does not work any more.`;
  if (response?.status === 404) return REPLACED;
  if (response?.status === 409) return `${what} Too much of this transcript was corrected, or nothing is left to undo.`;
  return `${what} Check your connection, and try again.`;
}

export class Corrections {
  constructor(player, transcript) {
    this.player = player;
    this.transcript = transcript;
    this.box = transcript.box;
    this.button = this.#button('fix', '', () => this.#open(this.row));
    this.button.append(document.getElementById('pencil').content.cloneNode(true));
    this.button.title = 'Correct (E)';
    this.button.setAttribute('aria-keyshortcuts', 'e');
    // Its place is kept free in every line, so that it covers no word.
    this.box.classList.add('correctable');
    const offer = ({ target }) => this.#offer(target.closest('.cue'));
    this.box.addEventListener('focusin', offer);
    this.box.addEventListener('pointerover', offer);
    this.box.addEventListener('keydown', (event) => {
      const row = event.target.closest('.cue');
      if (event.key !== 'e' || !row || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.#open(row);
    });
  }

  #button(className, text, act) {
    const button = el('button', className, text);
    button.type = 'button';
    button.addEventListener('click', act);
    return button;
  }

  #offer(row) {
    // Moving a button takes its focus away.
    if (!row?.cue?.id || row === this.row || this.form || document.activeElement === this.button) return;
    this.row = row;
    this.button.setAttribute('aria-label', `Correct the line at ${clock(row.cue.start_ms)}`);
    row.after(this.button);
  }

  #address(row, rest = '') {
    return `${this.player.lesson().base}cues/${row.cue.id}${rest}`;
  }

  // Reads the line as it is now, with the tag that a change needs. `wrong` says why that failed.
  async #read(row) {
    const response = await this.#fetch(this.#address(row), { cache: 'no-store' });
    if (!response?.ok) return { wrong: reason(response, 'The line could not be read.') };
    const now = await response.json().catch(() => null);
    if (!now) return { wrong: reason(null, 'The line could not be read.') };
    // After a new recognition the number may be another line's.
    if (now.start_ms !== row.cue.start_ms || now.end_ms !== row.cue.end_ms) return { wrong: REPLACED };
    return { ...now, tag: response.headers.get('etag') };
  }

  async #fetch(address, options) {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const response = await fetch(address, { ...options, signal }).catch(() => null);
    if (response?.status === 403) this.player.refused();
    return response;
  }

  async #open(row) {
    if (!row?.cue.id || this.form || this.opening) return;
    this.opening = true;
    const now = await this.#read(row);
    this.opening = false;
    if (now.wrong) return say('count', now.wrong);
    say('count', '');
    this.transcript.hold();
    this.button.remove();
    this.row = row;
    this.now = now;
    const form = el('form', 'correcting');
    this.text = el('textarea');
    this.text.rows = 3;
    this.text.maxLength = 1000;
    this.text.value = now.text;
    this.text.lang = this.transcript.box.lang;
    this.text.setAttribute('aria-label', `Text of the line at ${clock(row.cue.start_ms)}`);
    this.note = el('p', 'note', matchMedia('(hover: hover)').matches ? 'Enter saves, Esc cancels.' : '');
    this.note.id = 'correct-note';
    this.note.role = 'status';
    this.text.setAttribute('aria-describedby', this.note.id);
    const save = el('button', 'pill', 'Save');
    form.append(this.text, this.note, save, this.#button('pill toggle', 'Cancel', () => this.#cancel()));
    if (now.versions.some((version) => !version.undone)) {
      form.append(this.#button('pill toggle', 'Undo correction', () => this.#send('POST', '/undo')));
    }
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.text.value.trim().split(/\s+/).join(' ');
      if (text === this.now.text) this.#cancel();
      else this.#send('PATCH', '', { text });
    });
    form.addEventListener('keydown', (event) => {
      // The page's keys are letters here.
      event.stopPropagation();
      if (event.isComposing) return;
      if (event.key === 'Escape') this.#cancel();
      if (event.key !== 'Enter' || event.target !== this.text) return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.form = form;
    row.hidden = true;
    row.after(form);
    this.text.focus();
    form.scrollIntoView({ block: 'nearest' });
  }

  #cancel() {
    if (!this.sending) this.#finish(this.now.text);
  }

  // Closes the form, and shows the line as it is now: it may be another person's.
  async #finish(text) {
    const { row } = this;
    this.#busy(true);
    const cue = text === row.cue.text ? row.cue : await this.#words(row.cue, text);
    this.#busy(false);
    this.form.remove();
    this.form = this.row = null;
    row.hidden = false;
    if (cue !== row.cue) this.#caption(cue);
    const shown = cue === row.cue ? row : this.transcript.replace(row, cue);
    shown.focus({ preventScroll: true });
  }

  #say(text, isWrong) {
    this.note.textContent = text;
    this.note.classList.toggle('wrong', isWrong);
  }

  // Says that an answer is awaited: by then, nothing in the form does anything.
  #busy(on) {
    this.sending = on;
    this.form.ariaBusy = String(on);
    this.text.readOnly = on;
    for (const button of this.form.querySelectorAll('button')) button.ariaDisabled = String(on);
  }

  async #send(method, rest, body) {
    if (this.sending) return;
    const { row } = this;
    this.#busy(true);
    this.#say(body ? 'Saving…' : 'Undoing…', false);
    const headers = { 'content-type': 'application/json', 'if-match': this.now.tag };
    const response = await this.#fetch(this.#address(row, rest), { method, headers, body: body && JSON.stringify(body) });
    const saved = response?.ok ? await response.json().catch(() => null) : null;
    if (!saved) {
      const wrong = response?.status === 412 ? await this.#changed(row) : reason(response, 'The correction was not saved.');
      this.#busy(false);
      return this.#say(wrong, true);
    }
    await this.#finish(saved.text);
    say('count', body ? 'Saved. Captions and search follow.' : 'Undone. Captions and search follow.');
  }

  // Another person was first: returns the line as it is now, which a second try replaces.
  async #changed(row) {
    const now = await this.#read(row);
    if (now.wrong) return now.wrong;
    this.now = now;
    return `Someone else has corrected this line: “${now.text}”. Save again to replace it.`;
  }

  // The cue with the times of its new words; without them if this server does not have them yet.
  async #words({ id, start_ms, end_ms }, text) {
    const { base, transcript } = this.player.lesson();
    const response = await this.#fetch(`${base}${transcript}?from_ms=${start_ms}&to_ms=${start_ms + 1}`);
    const found = response?.ok ? await response.json().catch(() => null) : null;
    const cue = found?.cues?.find((one) => one.id === id && one.text === text);
    return cue ?? { id, start_ms, end_ms, text, words: [] };
  }

  // Changes the caption that the player has loaded.
  #caption({ start_ms, end_ms, text }) {
    const tracks = [...this.player.video.textTracks].filter(({ kind }) => kind === 'subtitles' || kind === 'captions');
    const near = (seconds, ms) => Math.abs(seconds * 1000 - ms) < SAME_MS;
    for (const track of tracks) {
      for (const caption of [...(track.cues ?? [])]) {
        if (!near(caption.startTime, start_ms) || !near(caption.endTime, end_ms)) continue;
        if (text) caption.text = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
        else track.removeCue(caption);
      }
    }
  }
}
