// The stage while a lesson is prepared: finished steps, running steps, and a rough time left.
import { el, say } from './view.js';

// Steps in the order shown, with their share of the wait for something to watch.
const STEPS = [
  ['inspect', 'Checking the file', 1],
  ['sound', 'Sound', 3],
  ['speech_audio', 'Sound', 0],
  ['stills', 'Stills', 5],
  ['weak_line', 'Video', 0],
  ['transcribe', 'Transcript', 0],
  ['silenced_audio', 'Sound without names', 0],
  ['publish_stills', 'Preparing the first version', 1],
];
// Share of the transcript where names are silenced: nothing can be watched before it.
const SILENCED_TRANSCRIPT = 15;
// The time left is estimated only after this much time and progress.
const WATCHED_MS = 10_000;
const WATCHED_SHARE = 0.03;

const share = (step) =>
  step.state === 'done' ? 1 : step.state === 'leased' && step.total_ms ? Math.min(step.done_ms / step.total_ms, 1) : 0;

let first = null;
let furthest = 0;

export function show({ state, steps }) {
  const box = document.getElementById('progress');
  box.hidden = state !== 'processing' || !steps?.length;
  if (box.hidden) return;
  const silences = steps.some((s) => s.name === 'speech_audio');
  const known = STEPS.map(([name, label, usual]) => {
    const weight = silences && name === 'transcribe' ? SILENCED_TRANSCRIPT : usual;
    return { label, weight, step: steps.find((s) => s.name === name) };
  }).filter(({ step }) => step);
  // Until all steps are known, the longest plan is assumed.
  const planned = (known.at(-1)?.label === STEPS.at(-1)[1] ? known.map(({ weight }) => weight) : STEPS.map((s) => s[2]))
    .reduce((sum, weight) => sum + weight, 0);
  const done = known.reduce((sum, { step, weight }) => sum + share(step) * weight, 0);
  // Never backwards: the line of a retried step has its state.
  furthest = Math.max(furthest, Math.min(done / planned, 1));
  document.getElementById('progress-bar').value = furthest;
  const left = timeLeft();
  say('progress-text', `${Math.floor(furthest * 100)} %${left ? ` · ${left}` : ''}`);
  document.getElementById('progress-steps').replaceChildren(...known.map(({ label, step }) => {
    const item = el('li', step.state, label);
    item.append(el('span', '', stateText(step)));
    return item;
  }));
}

function stateText(step) {
  switch (step.state) {
    case 'done': return 'done';
    case 'failed': return 'failed';
    case 'leased': return step.total_ms ? `${Math.floor(share(step) * 100)} %` : 'in progress';
    case 'delayed': return 'trying again soon';
    default: return 'waiting';
  }
}

function timeLeft() {
  const now = performance.now();
  first ??= { now, at: furthest };
  const [past, went] = [now - first.now, furthest - first.at];
  if (past < WATCHED_MS || went < WATCHED_SHARE) return '';
  const seconds = ((1 - furthest) * past) / went / 1000;
  return seconds < 50 ? 'less than a minute left' : `about ${Math.round(seconds / 60)} min left`;
}
