// Loaded after playback has started: the transcript, the search, who speaks, and the storyboard
// on the seek bar.
import { Search } from './search.js';
import { Transcript } from './transcript.js';

export async function start(player) {
  storyboard(player);
  talk(player);
  const transcript = new Transcript(player);
  new Search(player, transcript);
  if (player.lesson().correct) {
    import('./correct.js').then((m) => new m.Corrections(player, transcript), () => {});
  }
  await transcript.load();
  return {
    // The lesson has changed.
    changed() {
      storyboard(player);
      talk(player);
      if (!transcript.loaded) transcript.load();
    },
    // A step has made progress.
    progress() {
      if (!transcript.loaded) transcript.explain();
    },
  };
}

let talkTimes = null;

function talk(player) {
  if (!player.lesson().talk) return;
  talkTimes ??= import('./talk.js').then((m) => m.start(player)).catch(() => (talkTimes = null));
}

// Media Chrome takes previews from a metadata track with this label. Its images are relative to the
// track, and so to the session.
function storyboard({ video, lesson }) {
  const { base, storyboard: file, master } = lesson();
  if (!file || !master || video.querySelector('track[label=thumbnails]')) return;
  const track = document.createElement('track');
  track.kind = 'metadata';
  track.label = 'thumbnails';
  track.default = true;
  track.src = base + file;
  video.append(track);
  track.track.mode = 'hidden';
}
