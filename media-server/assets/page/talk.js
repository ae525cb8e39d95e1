// Who speaks when: a strip beneath the video that seeks when it is clicked, and the shares of all talk.
import { clock, el } from './view.js';

// That of the page's icons.
const SVG = document.querySelector('svg').namespaceURI;
const VOICES = { main: 'Main voice', other: 'Other voices', group: 'Several at once' };

export async function start(player) {
  const { base, talk } = player.lesson();
  const response = await fetch(base + talk);
  if (!response.ok) throw new Error(`talk times: ${response.status}`);
  const times = await response.json();
  if (!times.turns.length) return;
  draw(times);
  follow(player, times);
  document.getElementById('talk').hidden = false;
}

// One path for each kind of voice: a lesson has hundreds of turns.
function draw({ turns, total, questions, duration_ms: duration }) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${duration} 1`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  for (const voice of Object.keys(VOICES)) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('class', voice);
    const own = turns.filter((turn) => turn.voice === voice);
    // Not by colour alone: the main voice is the tallest.
    const top = { main: 0, other: 0.35, group: 0.65 }[voice];
    path.setAttribute('d', own.map(({ start_ms, end_ms }) => `M${start_ms} ${top}H${end_ms}V1H${start_ms}z`).join(''));
    svg.append(path);
  }
  const strip = document.getElementById('strip');
  strip.replaceChildren(svg, el('span', 'here'));
  strip.setAttribute('aria-valuemax', Math.round(duration / 1000));
  document.getElementById('shares').replaceChildren(...shares(total), ...waits(questions));
}

function shares(total) {
  const talk = total.main_ms + total.other_ms + total.group_ms;
  return Object.keys(VOICES).filter((voice) => total[`${voice}_ms`] > 0).map((voice) => {
    const item = el('li', voice, `${VOICES[voice]} `);
    item.append(el('b', '', `${Math.round((total[`${voice}_ms`] / talk) * 100)}%`));
    return item;
  });
}

// The main voice's questions, and how long it waited for an answer.
function waits(questions) {
  if (!questions.length) return [];
  const count = questions.length === 1 ? '1 question' : `${questions.length} questions`;
  const answered = questions.filter(({ next }) => next && next !== 'main').map(({ wait_ms }) => wait_ms);
  if (!answered.length) return [el('li', '', count)];
  answered.sort((a, b) => a - b);
  const middle = (answered[Math.floor(answered.length / 2)] / 1000).toFixed(1);
  if (answered.length === 1) return [el('li', '', `${count}, one answered after ${middle} s`)];
  return [el('li', '', `${count}, ${answered.length} answered, after ${middle} s in the middle`)];
}

function follow(player, { turns, duration_ms: duration }) {
  const strip = document.getElementById('strip');
  const here = strip.querySelector('.here');
  const now = () => player.stream.now() * 1000;
  const turnAt = (ms) => turns.findLast((turn) => turn.start_ms <= ms);
  let shown = '';
  const show = (event) => {
    const ms = Math.min(now(), duration);
    here.style.left = `${(ms / duration) * 100}%`;
    const turn = turnAt(ms);
    const who = turn && ms < turn.end_ms ? VOICES[turn.voice] : 'Silence';
    // Screen readers speak every change: of a turn, or after a seek, but not each second.
    if (who === shown && event?.type !== 'seeking') return;
    shown = who;
    strip.setAttribute('aria-valuenow', Math.round(ms / 1000));
    strip.setAttribute('aria-valuetext', `${clock(ms)}, ${who}`);
  };
  strip.addEventListener('click', (event) => {
    const box = strip.getBoundingClientRect();
    player.seek(((event.clientX - box.left) / box.width) * (duration / 1000));
  });
  strip.addEventListener('keydown', (event) => {
    const ms = now();
    // A little later than its start is still the turn's start.
    const earlier = turns.findLast((turn) => turn.start_ms < ms - 1000);
    const later = turns.find((turn) => turn.start_ms > ms);
    const targets = {
      ArrowLeft: earlier, ArrowDown: earlier, PageDown: earlier, Home: turns[0],
      ArrowRight: later, ArrowUp: later, PageUp: later, End: turns.at(-1),
    };
    if (!(event.key in targets)) return;
    // Also where there is no further turn: these keys mean nothing else here.
    event.preventDefault();
    event.stopPropagation();
    const target = targets[event.key];
    if (target) player.seek(target.start_ms / 1000);
  });
  for (const type of ['timeupdate', 'seeking']) player.video.addEventListener(type, show);
  show();
}
