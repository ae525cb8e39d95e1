// Listens to what happens to the lesson while it is being prepared, and has the page look again.

// States come as they are; looking again costs a request, so bursts are gathered.
const GATHER_MS = 400;

export function follow(lesson, refresh) {
  let timer = null;
  const look = () => {
    timer ??= setTimeout(async () => {
      timer = null;
      await refresh().catch(() => {});
      if (['ready', 'failed', 'cancelled'].includes(lesson().state)) source.close();
    }, GATHER_MS);
  };
  const source = new EventSource(`${lesson().base}events`);
  for (const kind of ['state', 'step', 'revision', 'transcript_ready', 'deleted']) source.addEventListener(kind, look);
  source.addEventListener('progress', () => { if (!lesson().master) look(); });
  // What happened before the stream was open.
  source.addEventListener('open', look);
}
