// The page: what is needed to see the first picture comes first, all else after it.
import { Stream } from './stream.js';
import { parseTime, showNotice } from './view.js';

const $ = (id) => document.getElementById(id);
const video = $('video');
const begin = $('begin');
let lesson = JSON.parse(document.body.dataset.lesson);
let begun = false;
let extras = null;

const OVER = ['ready', 'failed', 'cancelled'];

const stream = new Stream(video, document.body.dataset.hls);
// For tests and for the browser's console.
window.chalkstream = { video, get hls() { return stream.hls; }, get lesson() { return lesson; } };

// A link lives minutes, a session hours: a reload goes to the session.
adopt(lesson);

function adopt(next) {
  lesson = next;
  history.replaceState(null, '', next.watch + location.hash);
  document.body.dataset.state = next.state;
  $('facts').textContent = next.facts || '';
}

async function play() {
  begun = true;
  begin.hidden = true;
  try {
    await video.play();
  } catch {
    begin.hidden = !video.paused;
  }
}

// Moves to a second of the lesson and, unless it was never asked for, plays on from there.
function seek(seconds) {
  stream.seek(seconds);
  play();
}

async function start(at) {
  showNotice(null);
  begin.hidden = begun;
  if (lesson.placeholder) $('stage').style.backgroundImage = `url("${lesson.placeholder}")`;
  await stream.load(lesson, at);
  begin.dataset.ready = '';
  // The poster waits for the script that plays: on a weak line one of them comes first.
  if (lesson.poster && !begun) video.poster = lesson.base + lesson.poster;
}

// After the first picture: the controls. After some seconds of buffer, or play: the words and the storyboard.
function onPicture() {
  import(document.body.dataset.chrome).then(() => (document.body.dataset.chromeReady = ''));
}

async function onComfort() {
  if (extras || !lesson.master) return;
  extras = import('./extras.js').then((m) => m.start({ video, stream, seek, lesson: () => lesson }));
  window.chalkstream.extras = await extras;
  document.body.dataset.wordsReady = '';
}

begin.addEventListener('click', play);
video.addEventListener('play', () => { begun = true; begin.hidden = true; });
video.addEventListener('loadeddata', onPicture, { once: true });
video.addEventListener('playing', onComfort);
video.addEventListener('progress', () => { if (stream.ahead() >= 8) onComfort(); });
video.addEventListener('canplaythrough', () => setTimeout(onComfort, 0));
window.addEventListener('hashchange', () => { const at = parseTime(location.hash); if (at !== null) seek(at); });

// What is still on its way: states, newer revisions, the transcript.
async function refresh() {
  const answer = await fetch(`${lesson.base}lesson.json`, { cache: 'no-store' });
  if (answer.status === 403) return showNotice({ title: 'This link has ended', text: 'Ask for a new link to go on watching.' });
  if (!answer.ok) return;
  const before = lesson;
  const next = await answer.json();
  adopt(next);
  if (!next.master) return showNotice(next.notice);
  if (!before.master) return start(parseTime(location.hash));
  if (next.revision !== before.revision) offer();
  if (extras) (await extras).changed();
}

function offer() {
  const take = () => {
    $('offer').hidden = true;
    video.removeEventListener('pause', take);
    video.removeEventListener('waiting', take);
    stream.reload(lesson);
  };
  if (video.paused && !video.ended) return take();
  $('offer').hidden = false;
  $('offer-take').onclick = take;
  video.addEventListener('pause', take);
  video.addEventListener('waiting', take);
}

function listen() {
  if (OVER.includes(lesson.state)) return;
  import('./updates.js').then((m) => m.follow(() => lesson, refresh));
}

if (lesson.master) {
  start(parseTime(location.hash)).then(() => video.addEventListener('canplay', listen, { once: true }));
} else {
  showNotice(lesson.notice);
  listen();
}
import('./keys.js').then((m) => m.bind({ video, play, stream, query: $('query') }));
