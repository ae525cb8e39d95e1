// Follows the events of a lesson while it is being prepared, and has the page refresh. If no event
// arrives (a proxy holds them back, too many listeners), it polls, less and less often.

// A refresh costs a request, so bursts of events are gathered.
const GATHER_MS = 400;
const FIRST_LOOK_MS = 4000;
const LAST_LOOK_MS = 60_000;

export function follow({ lesson, over, refresh, onStep }) {
  let source = null;
  let gathering = null;
  let looking = null;
  let wait = FIRST_LOOK_MS;

  const look = () => {
    gathering ??= setTimeout(async () => {
      await refresh().catch(() => {});
      gathering = null;
      if (over()) return end();
      // A refused event source stays closed; it may be accepted by now.
      if (source.readyState === EventSource.CLOSED) open();
      later();
    }, GATHER_MS);
  };
  const later = () => {
    clearTimeout(looking);
    looking = setTimeout(() => {
      wait = Math.min(wait * 1.5, LAST_LOOK_MS);
      if (document.hidden && source.readyState === EventSource.OPEN) later();
      else look();
    }, wait);
  };
  // Events arrive: polling is only a safety net.
  const alive = (event) => {
    wait = LAST_LOOK_MS;
    later();
    try {
      return JSON.parse(event.data).data;
    } catch {
      return null;
    }
  };
  const open = () => {
    source = new EventSource(`${lesson().base}events`);
    for (const kind of ['state', 'revision', 'transcript_ready', 'deleted', 'reset']) {
      source.addEventListener(kind, (event) => { alive(event); look(); });
    }
    source.addEventListener('step', (event) => {
      const data = alive(event);
      if (data?.step) onStep(data);
      look();
    });
    source.addEventListener('progress', (event) => {
      const data = alive(event);
      if (data?.step) onStep(data);
    });
  };
  const end = () => {
    clearTimeout(looking);
    source.close();
  };
  open();
  // Catch up with what happened before the stream was open.
  look();
  document.addEventListener('visibilitychange', () => { if (!document.hidden && !over()) look(); });
  window.addEventListener('online', () => { if (!over()) look(); });
}
