// Keyboard shortcuts of the entire page. Media Chrome has its own while the video has the focus.

export function bind({ video, play, stream, query }) {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0];
    if (target instanceof HTMLInputElement) return;
    if (event.key === '/') {
      event.preventDefault();
      query.focus();
      query.select();
      return;
    }
    if (target.closest?.('media-controller')) return;
    const onControl = target.closest?.('button, [role=button], a');
    if ((event.key === ' ' && !onControl) || event.key === 'k') {
      event.preventDefault();
      if (video.paused) play();
      else video.pause();
    } else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      event.preventDefault();
      stream.seek(stream.now() + (event.key === 'ArrowLeft' ? -5 : 5));
    } else if (event.key === 'c') {
      const track = [...video.textTracks].find((t) => t.kind === 'subtitles' || t.kind === 'captions');
      if (track) track.mode = track.mode === 'showing' ? 'disabled' : 'showing';
    }
  });
}
