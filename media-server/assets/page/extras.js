// What comes after playback has begun: the words, the search over them, and the storyboard on the seek bar.
import { Search } from './search.js';
import { Transcript } from './transcript.js';

export async function start(player) {
  storyboard(player);
  const transcript = new Transcript(player);
  new Search(player, transcript);
  await transcript.load();
  return {
    // Something new about the lesson.
    changed() {
      storyboard(player);
      if (!transcript.loaded) transcript.load();
    },
    // Some step got further.
    progress() {
      if (!transcript.loaded) transcript.explain();
    },
  };
}

// Media Chrome takes previews from a metadata track with this label; its images are relative to it, and so to the
// session.
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
