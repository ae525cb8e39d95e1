// Helpers that the parts of the page share.

// `#t=12.3` or `#t=1:02:03.5` as seconds; null for anything else.
export function parseTime(hash) {
  const match = /[#&]t=([0-9:.]{1,20})/.exec(hash || '');
  if (!match) return null;
  const seconds = match[1].split(':').reduce((total, part) => total * 60 + Number(part), 0);
  return Number.isFinite(seconds) ? seconds : null;
}

// Milliseconds as 1:02:03 or 2:03.
export function clock(ms) {
  const total = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (n) => String(n).padStart(2, '0');
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// An element with text. Text is only ever set this way, because captions and titles are written by
// other people.
export function el(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// Sets a text only if it changes, because screen readers speak what is set.
export function say(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}

// Shows a message in place of the video, with a button if there is a way out, and the code of an
// error; null removes it.
export function showNotice(notice) {
  const box = document.getElementById('notice');
  const again = document.getElementById('notice-again');
  box.hidden = !notice;
  // Hidden controls must not be reachable with keys either.
  document.getElementById('controller').inert = Boolean(notice);
  again.hidden = !notice?.again;
  if (!notice) return;
  say('notice-title', notice.title);
  say('notice-text', notice.text || '');
  say('notice-code', notice.code || '');
  again.onclick = notice.again ?? null;
}

let counting = null;

// Shows a line above the video; null removes it. `seconds` are counted down; `act` adds a button.
export function showLine(text, { seconds, act, label } = {}) {
  const button = document.getElementById('line-act');
  clearInterval(counting);
  document.getElementById('line').hidden = !text;
  say('line-text', text ?? '');
  button.hidden = !act;
  button.onclick = act ?? null;
  button.textContent = label ?? 'Try now';
  // Next to the text, not in it: a screen reader would speak each second.
  const count = document.getElementById('line-count');
  const until = performance.now() + (seconds ?? 0) * 1000;
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    count.textContent = seconds && left > 0 ? `${left} s` : '';
  };
  tick();
  if (text && seconds) counting = setInterval(tick, 500);
}

// Shows a question above the video, with one answer and a way to decline.
export function showOffer(text, label, act) {
  const box = document.getElementById('offer');
  box.hidden = !text;
  say('offer-text', text ?? '');
  if (!text) return;
  const take = document.getElementById('offer-take');
  take.textContent = label;
  take.onclick = act;
  document.getElementById('offer-no').onclick = () => (box.hidden = true);
}
