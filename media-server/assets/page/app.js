// The page: what is needed to see the first picture comes first, all else after it.
import { bind } from './keys.js';
import { Stream } from './stream.js';
import { clock, parseTime, say, showLine, showNotice, showOffer } from './view.js';

const $ = (id) => document.getElementById(id);
const video = $('video');
const begin = $('begin');
let lesson = JSON.parse(document.body.dataset.lesson);
let begun = false;
// The session is no longer good.
let gone = false;
// Where to begin, when someone chose a moment before there was anything to play.
let wanted = null;
let extras = null;
let waiting = null;

const OVER = ['ready', 'failed', 'cancelled', 'deleted'];
// A stall of this length on a line that answers: it is too slow for the picture.
const SLOW_MS = 8000;
// Seconds of buffer from which on there is room for the controls, and for the words.
const [CONTROLS_AHEAD_S, WORDS_AHEAD_S] = [5, 10];
// Renewals so far apart have nothing to do with each other.
const RENEWED_MS = 60_000;
// A newer revision takes the place of an older one no more often than this.
const MOVE_EVERY_MS = 60_000;
const NOTE_MS = 4000;

const stream = new Stream(video, document.body.dataset.hls, {
  parsed,
  refused,
  away: (seconds) => {
    showLine(seconds ? 'The connection is lost. Trying again in' : 'The connection is lost. Trying again.', {
      seconds,
      act: () => stream.retry(),
    });
  },
  back: () => showLine(null),
  broken: () => unoriginal('The original picture cannot be played here.') || showNotice({ title: 'This lesson cannot be played here', text: 'Try another browser, or load the page again.', again: () => location.reload() }),
});
// For tests and for the browser's console.
window.chalkstream = { video, get hls() { return stream.hls; }, get lesson() { return lesson; } };

// A link lives minutes, a session hours: a reload goes to the session.
adopt(lesson);

function adopt(next) {
  // A server of an older release tells no steps: what was heard of them stays.
  next.steps ??= lesson.steps;
  lesson = next;
  history.replaceState(null, '', next.watch + location.hash);
  document.body.dataset.state = next.state;
  say('facts', next.facts || '');
}

async function play() {
  if (gone && stream.ahead() < 1) return;
  // The button goes, and what it started gets the keys.
  const focused = document.activeElement === begin;
  begun = true;
  begin.hidden = true;
  if (focused) {
    const controller = $('controller');
    controller.tabIndex = 0;
    controller.focus({ preventScroll: true });
  }
  try {
    await video.play();
  } catch {
    begin.hidden = !video.paused;
  }
}

// Moves to a second of the lesson and, unless it was never asked for, plays on from there.
function seek(seconds) {
  if (!lesson.master) return (wanted = seconds);
  stream.seek(seconds);
  play();
}

async function start(at) {
  showNotice(null);
  begin.hidden = begun;
  if (lesson.placeholder) backdrop(lesson.placeholder);
  stream.prepare(lesson, at);
  await stream.load(lesson, at);
  begin.dataset.ready = '';
}

function backdrop(url) {
  $('stage').style.backgroundImage = `url("${url}")`;
}

// The playlist is read: sound alone is offered where there is both, and has a picture of its own.
function parsed() {
  const toggle = $('sound-only');
  toggle.hidden = !stream.soundThere;
  toggle.setAttribute('aria-pressed', String(stream.soundOnly));
  $('sound-note').hidden = !stream.soundOnly;
  offerOriginal();
  // Without a picture there is nothing that the controls would hide.
  $('controller').setAttribute('autohide', stream.still ? '-1' : '3');
  if (!stream.still) return;
  video.removeAttribute('poster');
  if (lesson.poster) backdrop(lesson.base + lesson.poster);
}

// The sound alone, until it is said otherwise; also after a reload of the page.
function sound(alone) {
  showOffer(null);
  stream.soundOnly = alone;
  try {
    sessionStorage.setItem('sound-only', alone ? '1' : '');
  } catch { /* a frame without storage */ }
  stream.reload(lesson, { atOnce: true });
}

// The camera's own picture, where this browser plays it smoothly. There is one size of it: whoever chooses it has the line.
let offers = 0;
async function offerOriginal() {
  const [toggle, nth, { original }] = [$('original'), ++offers, lesson];
  toggle.setAttribute('aria-pressed', String(stream.originalPlays));
  const may = original && !stream.soundOnly && extras && (await import('./original.js').catch(() => null));
  const smooth = may && (await may.smooth(original));
  if (nth === offers) toggle.hidden = !smooth && !stream.originalPlays;
}

function setOriginal(on) {
  stream.original = on;
  return stream.reload(lesson, { atOnce: true });
}

// Back to what every line and browser takes; false where that plays already.
function unoriginal(why) {
  if (!stream.originalPlays) return false;
  setOriginal(false);
  note(why);
  return true;
}

// After the first picture, and on a weak line only with some seconds of buffer, or for whoever reaches for them.
let controls = false;
function onControls(tries = 0) {
  if (controls && !tries) return;
  controls = true;
  const url = document.body.dataset.chrome;
  import(tries ? `${url}?${tries}` : url).then(
    () => {
      $('controller').fullscreenElement = $('stage');
      document.body.dataset.chromeReady = '';
    },
    () => setTimeout(onControls, 4000, tries + 1),
  );
}

// What can wait comes in turn, as the buffer grows: the controls, a sharp poster, the words and the storyboard.
function onBuffer() {
  const ahead = stream.ahead();
  if (ahead >= CONTROLS_AHEAD_S) {
    onControls();
    if (lesson.poster && !begun && !video.poster && !stream.still) video.poster = lesson.base + lesson.poster;
  }
  if (ahead >= WORDS_AHEAD_S) onComfort();
}

async function onComfort() {
  if (extras) return;
  extras = import('./extras.js').then((m) => m.start({ video, stream, seek, refused, over: () => gone, lesson: () => lesson }));
  try {
    window.chalkstream.extras = await extras;
    document.body.dataset.wordsReady = '';
    offerOriginal();
  } catch {
    extras = null;
  }
}

begin.addEventListener('click', play);
video.addEventListener('play', () => { begun = true; begin.hidden = true; });
for (const type of ['progress', 'timeupdate']) video.addEventListener(type, onBuffer);
for (const type of ['pointerdown', 'focusin']) $('controller').addEventListener(type, () => onControls());
window.addEventListener('hashchange', () => { const at = parseTime(location.hash); if (at !== null) seek(at); });
$('sound-only').addEventListener('click', () => sound(!stream.soundOnly));
$('original').addEventListener('click', () => setOriginal(!stream.originalPlays));
$('sound-back').addEventListener('click', () => { sound(false); $('sound-only').focus(); });
// Whoever reaches for the words gets them at once; until they are there, the form must not leave the page.
for (const type of ['focusin', 'pointerdown']) $('said').addEventListener(type, onComfort);
$('find').addEventListener('submit', (event) => event.preventDefault());

// A line that answers, but slower than the lowest picture.
let slow = null;
video.addEventListener('waiting', () => {
  clearTimeout(slow);
  slow = setTimeout(() => {
    if (!stream.lost && !gone && !video.paused && unoriginal('The line is too slow for the original picture.')) return;
    const weak = !stream.lost && !gone && stream.soundThere && !stream.soundOnly && !video.paused && stream.ahead() < 1;
    if (weak) showOffer('The line is slow. The sound alone needs a fifth of it.', 'Sound only', () => sound(true));
  }, SLOW_MS);
});
video.addEventListener('playing', () => clearTimeout(slow));

// Something of the session was refused: ask why, and say it. What is loaded plays on.
async function refused() {
  if (gone) return;
  const answer = await fetch(`${lesson.base}lesson.json`, { cache: 'no-store' }).catch(() => null);
  if (gone) return;
  // No answer: the line is gone, and tried again; a good one: what we had is no more, but there is another.
  if (!answer || answer.status >= 500) return setTimeout(refused, 5000);
  if (answer.ok) return renewed(await answer.json());
  const { code } = await answer.json().catch(() => ({}));
  end(code);
}

// Renewed so often in a row, a lesson does not load; not where it played meanwhile.
let [renewals, renewedAt] = [0, 0];
function renewed(next) {
  adopt(next);
  if (performance.now() > renewedAt + RENEWED_MS) renewals = 0;
  renewedAt = performance.now();
  if (!next.master) return showNotice(next.notice);
  stream.original = false;
  if (renewals++ < 3) return stream.reload(next);
  showNotice({ title: 'This lesson does not load', text: 'Load the page again. If that does not help, ask for a new link.', again: () => location.reload() });
}

function end(code) {
  gone = true;
  stream.stop();
  showOffer(null);
  const withdrawn = code === 'token_revoked';
  const title = withdrawn ? 'This link was withdrawn' : code === 'token_expired' ? 'This link has ended' : 'This link no longer works';
  const last = () => {
    video.pause();
    begin.hidden = true;
    showLine(null);
    const where = stream.now() > 1 ? ` You were at ${clock(stream.now() * 1000)}.` : '';
    const what = withdrawn ? 'Ask the person who sent it for a new one.' : 'Ask for a new link to go on watching.';
    showNotice({ title, text: what + where });
  };
  if (withdrawn || stream.ahead() < 1) return last();
  showLine(`${title}. What is loaded plays to its end; ask for a new link to go on.`);
  video.addEventListener('waiting', () => { if (stream.ahead() < 1) last(); });
}

// What is still on its way: states, newer revisions, the transcript.
async function refresh() {
  const answer = await fetch(`${lesson.base}lesson.json`, { cache: 'no-store' });
  if (answer.status === 403) return end((await answer.json().catch(() => ({}))).code);
  if (!answer.ok) return;
  const before = lesson;
  const next = await answer.json();
  adopt(next);
  tell();
  if (extras) (await extras).changed();
  if (!next.master) return showNotice(next.notice);
  if (!before.master) return ready();
  if (next.revision !== before.revision) newer = true;
  moveUp();
}

// How far the steps are: on the stage while there is nothing to play, and beside it while the words are written.
function tell() {
  if (!lesson.master) waiting?.then((m) => m.show(lesson));
  extras?.then((m) => m.progress());
}

// News of one step, from the event stream.
function heard({ step, state, done_ms, total_ms }) {
  lesson.steps ??= [];
  let known = lesson.steps.find((s) => s.name === step);
  if (!known) lesson.steps.push((known = { name: step }));
  Object.assign(known, { state: state ?? 'leased' }, total_ms ? { done_ms, total_ms } : {});
  tell();
}

// There is something to play: it starts by itself where someone is looking and the browser lets it.
async function ready() {
  const title = document.title;
  await start(wanted ?? parseTime(location.hash));
  if (document.hidden) {
    document.title = `Ready: ${title}`;
    document.addEventListener('visibilitychange', () => (document.title = title), { once: true });
    return;
  }
  video.addEventListener('loadeddata', play, { once: true });
}

// A newer revision is taken by itself, at the same second, at a moment when it disturbs nobody: while nothing plays,
// where playback waits anyway, or where the line is so fast that it hardly shows. Else it is offered, once.
let newer = false;
let offered = null;
let movedAt = -Infinity;
async function moveUp() {
  if (!newer || gone || stream.soundOnly || video.ended || performance.now() < movedAt + MOVE_EVERY_MS) return;
  // Whoever watches the original is not taken to what has none yet.
  if (stream.originalPlays && !lesson.original) return;
  const waits = video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !stream.lost;
  if (video.paused || waits || stream.easy()) return takeNewer();
  if (offered === lesson.revision || !$('offer').hidden) return;
  offered = lesson.revision;
  showOffer('More of this lesson is ready.', 'Change now', takeNewer);
}

async function takeNewer() {
  if (offered !== null) showOffer(null);
  offered = null;
  newer = false;
  movedAt = performance.now();
  const quiet = !begun;
  showNotice(null);
  await stream.reload(lesson);
  if (!quiet) note('Now in a better version.');
}
for (const type of ['pause', 'waiting', 'timeupdate']) video.addEventListener(type, moveUp);

function note(text) {
  showLine(text);
  setTimeout(() => { if ($('line-text').textContent === text) showLine(null); }, NOTE_MS);
}

// At the end of what there is of a lesson that is still being made.
const GROWING = 'The next minutes are being prepared.';
video.addEventListener('waiting', () => { if (stream.growing() && stream.ahead() === Infinity) showLine(GROWING); });
video.addEventListener('playing', () => { if ($('line-text').textContent === GROWING) showLine(null); });

function listen() {
  if (OVER.includes(lesson.state)) return;
  import('./updates.js').then(
    (m) => m.follow({ lesson: () => lesson, over: () => gone || OVER.includes(lesson.state), refresh, heard }),
    () => setTimeout(listen, 5000),
  );
}

try {
  stream.soundOnly = sessionStorage.getItem('sound-only') === '1';
} catch { /* a frame without storage */ }
if (lesson.master) {
  start(parseTime(location.hash)).then(() => video.addEventListener('canplay', listen, { once: true }));
} else {
  showNotice(lesson.notice);
  waiting = import('./waiting.js');
  tell();
  listen();
  onComfort();
}
bind({ video, play, stream, query: $('query') });
