// The page: what the first frame needs comes first, everything else after it.
import { bind } from './keys.js';
import { Stream } from './stream.js';
import { clock, parseTime, say, showLine, showNotice, showOffer } from './view.js';

const $ = (id) => document.getElementById(id);
const video = $('video');
const begin = $('begin');
let lesson = JSON.parse(document.body.dataset.lesson);
let started = false;
// Whether the session is no longer valid.
let ended = false;
// The second to start at, if the viewer chose a moment before there was anything to play.
let startAt = null;
let extras = null;
let waiting = null;

const FINAL_STATES = ['ready', 'failed', 'cancelled', 'deleted'];
// A stall of this length on a working connection means that it is too slow for the video.
const SLOW_STALL_MS = 8000;
// Seconds of buffer from which on there is room for the controls, and for the transcript.
const [CONTROLS_AHEAD_S, WORDS_AHEAD_S] = [5, 10];
// Renewals further apart than this are unrelated.
const RENEWED_MS = 60_000;
// Minimum time between two changes to a newer revision.
const MIN_UPGRADE_INTERVAL_MS = 60_000;
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
  broken: () => leaveOriginal('The original video cannot be played here.') || showNotice({ title: 'This lesson cannot be played here', text: 'Try another browser, or load the page again.', again: () => location.reload() }),
});
// For tests and the browser's console.
window.chalkstream = { video, get hls() { return stream.hls; }, get lesson() { return lesson; } };

// A link lives minutes and a session hours, so a reload uses the session.
adopt(lesson);

function adopt(next) {
  // A server of an older release sends no steps: keep those from the event stream.
  next.steps ??= lesson.steps;
  lesson = next;
  history.replaceState(null, '', next.watch + location.hash);
  document.body.dataset.state = next.state;
  say('facts', next.facts || '');
}

async function play() {
  if (ended && stream.ahead() < 1) return;
  // The button disappears: move its focus to the player.
  const focused = document.activeElement === begin;
  started = true;
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

// Seeks to a second of the lesson and plays from there. Before there is a stream, it only notes the
// second.
function seek(seconds) {
  if (!lesson.master) return (startAt = seconds);
  stream.seek(seconds);
  play();
}

async function start(at) {
  showNotice(null);
  begin.hidden = started;
  if (lesson.placeholder) backdrop(lesson.placeholder);
  stream.prepare(lesson, at);
  await stream.load(lesson, at);
  begin.dataset.ready = '';
}

function backdrop(url) {
  $('stage').style.backgroundImage = `url("${url}")`;
}

// The playlist is parsed: offer sound only if it is possible without the video.
function parsed() {
  const toggle = $('sound-only');
  toggle.hidden = !stream.hasAudioOnly;
  toggle.setAttribute('aria-pressed', String(stream.soundOnly));
  $('sound-note').hidden = !stream.soundOnly;
  offerOriginal();
  // Without video there is nothing that the controls would hide.
  $('controller').setAttribute('autohide', stream.still ? '-1' : '3');
  if (!stream.still) return;
  video.removeAttribute('poster');
  if (lesson.poster) backdrop(lesson.base + lesson.poster);
}

// Switches the video off or on. The choice survives a reload of the page.
function setSoundOnly(alone) {
  showOffer(null);
  stream.soundOnly = alone;
  try {
    sessionStorage.setItem('sound-only', alone ? '1' : '');
  } catch { /* a frame without storage */ }
  stream.reload(lesson, { atOnce: true });
}

// Offers the camera's original video if this browser plays it smoothly. It has only one size, so
// the viewer chooses it.
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

// Returns to the stream that every browser plays; false if that plays already.
function leaveOriginal(why) {
  if (!stream.originalPlays) return false;
  setOriginal(false);
  showNote(why);
  return true;
}

// Loads the controls after the first frame. On a weak connection it waits for some seconds of
// buffer, or until the viewer reaches for them.
let controls = false;
function loadControls(tries = 0) {
  if (controls && !tries) return;
  controls = true;
  const url = document.body.dataset.chrome;
  import(tries ? `${url}?${tries}` : url).then(
    () => {
      $('controller').fullscreenElement = $('stage');
      document.body.dataset.chromeReady = '';
    },
    () => setTimeout(loadControls, 4000, tries + 1),
  );
}

// Loads optional parts one after the other as the buffer grows: the controls, a sharp poster, the
// transcript and the storyboard.
function onBuffer() {
  const ahead = stream.ahead();
  if (ahead >= CONTROLS_AHEAD_S) {
    loadControls();
    if (lesson.poster && !started && !video.poster && !stream.still) video.poster = lesson.base + lesson.poster;
  }
  if (ahead >= WORDS_AHEAD_S) loadExtras();
}

async function loadExtras() {
  if (extras) return;
  extras = import('./extras.js').then((m) => m.start({ video, stream, seek, refused, over: () => ended, lesson: () => lesson }));
  try {
    window.chalkstream.extras = await extras;
    document.body.dataset.wordsReady = '';
    offerOriginal();
  } catch {
    extras = null;
  }
}

begin.addEventListener('click', play);
video.addEventListener('play', () => { started = true; begin.hidden = true; });
for (const type of ['progress', 'timeupdate']) video.addEventListener(type, onBuffer);
for (const type of ['pointerdown', 'focusin']) $('controller').addEventListener(type, () => loadControls());
window.addEventListener('hashchange', () => { const at = parseTime(location.hash); if (at !== null) seek(at); });
$('sound-only').addEventListener('click', () => setSoundOnly(!stream.soundOnly));
$('original').addEventListener('click', () => setOriginal(!stream.originalPlays));
$('sound-back').addEventListener('click', () => { setSoundOnly(false); $('sound-only').focus(); });
// A viewer who reaches for the transcript gets it at once. Until then the form must not leave the
// page.
for (const type of ['focusin', 'pointerdown']) $('said').addEventListener(type, loadExtras);
$('find').addEventListener('submit', (event) => event.preventDefault());

// A connection that works, but is slower than the lowest video.
let slow = null;
video.addEventListener('waiting', () => {
  clearTimeout(slow);
  slow = setTimeout(() => {
    if (!stream.lost && !ended && !video.paused && leaveOriginal('The connection is too slow for the original video.')) return;
    const weak = !stream.lost && !ended && stream.hasAudioOnly && !stream.soundOnly && !video.paused && stream.ahead() < 1;
    if (weak) showOffer('The connection is slow. Sound alone needs a fifth of the data.', 'Sound only', () => setSoundOnly(true));
  }, SLOW_STALL_MS);
});
video.addEventListener('playing', () => clearTimeout(slow));

// A request of the session was refused, if it is known the one for `url`: find out why, and inform
// the viewer. The buffered part plays on.
async function refused(url) {
  if (ended) return;
  const response = await fetch(`${lesson.base}lesson.json`, { cache: 'no-store' }).catch(() => null);
  if (ended) return;
  // No response means that the connection is lost: try again. A good one means that only the old
  // revision is gone.
  if (!response || response.status >= 500) return setTimeout(refused, 5000, url);
  if (response.ok) return renew(await response.json(), url);
  const { code } = await response.json().catch(() => ({}));
  end(code);
}

// A lesson that is renewed too often in a row does not load, unless it played in between.
let [renewals, renewedAt] = [0, 0];
async function renew(next, url) {
  adopt(next);
  if (performance.now() > renewedAt + RENEWED_MS) renewals = 0;
  renewedAt = performance.now();
  if (!next.master) return showNotice(next.notice);
  stream.original = false;
  if (renewals++ < 3) return stream.reload(next);
  const problem = url && (await fetch(url, { cache: 'no-store' }).catch(() => null));
  const { code } = problem && !problem.ok ? await problem.json().catch(() => ({})) : {};
  showNotice({
    title: 'This lesson does not load',
    code: errorLine(code),
    text: 'Load the page again. If that does not help, ask for a new link.',
    again: () => location.reload(),
  });
}

// The code of an error and the recording's id, for the person whom the viewer asks.
function errorLine(code) {
  return `${code ?? 'not_loaded'} · ${lesson.base.split('/').at(-2)}`;
}

function end(code) {
  ended = true;
  stream.stop();
  showOffer(null);
  const withdrawn = code === 'token_revoked';
  const title = withdrawn ? 'This link was withdrawn' : code === 'token_expired' ? 'This link has ended' : 'This link no longer works';
  const last = () => {
    video.pause();
    begin.hidden = true;
    showLine(null);
    const where = stream.now() > 1 ? ` You were at ${clock(stream.now() * 1000)}.` : '';
    const what = withdrawn ? 'Ask the person who sent it for a new one.' : 'Ask for a new link to continue.';
    showNotice({ title, text: what + where, code: errorLine(code) });
  };
  if (withdrawn || stream.ahead() < 1) return last();
  showLine(`${title}. The part already loaded will play; ask for a new link to continue.`);
  video.addEventListener('waiting', () => { if (stream.ahead() < 1) last(); });
}

// Updates what may still change: state, newer revisions, the transcript.
async function refresh() {
  const response = await fetch(`${lesson.base}lesson.json`, { cache: 'no-store' });
  if (response.status === 403) return end((await response.json().catch(() => ({}))).code);
  if (!response.ok) return;
  const before = lesson;
  const next = await response.json();
  adopt(next);
  showProgress();
  if (extras) (await extras).changed();
  if (!next.master) return showNotice(next.notice);
  if (!before.master) return ready();
  if (next.revision !== before.revision) newer = true;
  maybeUpgrade();
}

// Shows the progress of the steps: on the stage while there is nothing to play, and in place of the
// transcript until it is there.
function showProgress() {
  if (!lesson.master) waiting?.then((m) => m.show(lesson));
  extras?.then((m) => m.progress());
}

// Applies an event about one step.
function onStep({ step, state, done_ms, total_ms }) {
  lesson.steps ??= [];
  let known = lesson.steps.find((s) => s.name === step);
  if (!known) lesson.steps.push((known = { name: step }));
  // One that begins again, after its worker was lost, says so with a total of 0.
  Object.assign(known, { state: state ?? 'leased', done_ms, total_ms });
  showProgress();
}

// There is something to play. It starts by itself if the page is visible and the browser allows it.
async function ready() {
  const title = document.title;
  await start(startAt ?? parseTime(location.hash));
  if (document.hidden) {
    document.title = `Ready: ${title}`;
    document.addEventListener('visibilitychange', () => (document.title = title), { once: true });
    return;
  }
  video.addEventListener('loadeddata', play, { once: true });
}

// Changes to a newer revision at the same second when that disturbs no viewer: while paused, while
// playback waits anyway, or on a connection so fast that it hardly shows. Otherwise offers it once.
let newer = false;
let offered = null;
let upgradedAt = -Infinity;
async function maybeUpgrade() {
  if (!newer || ended || stream.soundOnly || video.ended || performance.now() < upgradedAt + MIN_UPGRADE_INTERVAL_MS) return;
  // A viewer of the original video stays there until the newer revision has it too.
  if (stream.originalPlays && !lesson.original) return;
  const waits = video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !stream.lost;
  if (video.paused || waits || stream.hasHeadroom()) return takeNewer();
  if (offered === lesson.revision || !$('offer').hidden) return;
  offered = lesson.revision;
  showOffer('More of this lesson is ready.', 'Change now', takeNewer);
}

async function takeNewer() {
  if (offered !== null) showOffer(null);
  offered = null;
  newer = false;
  upgradedAt = performance.now();
  const quiet = !started;
  showNotice(null);
  await stream.reload(lesson);
  if (!quiet) showNote('Now playing a better version.');
}
for (const type of ['pause', 'waiting', 'timeupdate']) video.addEventListener(type, maybeUpgrade);

function showNote(text) {
  showLine(text);
  setTimeout(() => { if ($('line-text').textContent === text) showLine(null); }, NOTE_MS);
}

// At the end of the part of a lesson that is prepared so far.
const GROWING = 'The next minutes are being prepared.';
video.addEventListener('waiting', () => { if (stream.growing() && stream.ahead() === Infinity) showLine(GROWING); });
video.addEventListener('playing', () => { if ($('line-text').textContent === GROWING) showLine(null); });

function listen() {
  if (FINAL_STATES.includes(lesson.state)) return;
  import('./updates.js').then(
    (m) => m.follow({ lesson: () => lesson, over: () => ended || FINAL_STATES.includes(lesson.state), refresh, onStep }),
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
  showProgress();
  listen();
  loadExtras();
}
bind({ video, play, stream, query: $('query') });
