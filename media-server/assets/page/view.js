// Small things the parts of the page share.

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

// An element with text. Text only ever goes in this way: captions and titles are other people's words.
export function el(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// What stands over the picture while there is nothing to play; null takes it away.
export function showNotice(notice) {
  const box = document.getElementById('notice');
  box.hidden = !notice;
  if (!notice) return;
  document.getElementById('notice-title').textContent = notice.title;
  document.getElementById('notice-text').textContent = notice.text || '';
  document.getElementById('notice-progress').hidden = notice.progress === undefined || notice.progress === null;
  if (notice.progress) document.getElementById('notice-progress').value = notice.progress;
}
