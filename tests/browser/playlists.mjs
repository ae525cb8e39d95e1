// Reads playlists with hls-parser in its strict mode.
//   { "playlists": [{ "name", "text" }] }  →  { "results": [{ name, ok, kind, error? }] }
import HLS from 'hls-parser';
import { main } from './lib.mjs';

HLS.setOptions({ strictMode: true });

await main(({ playlists }) => ({
  results: playlists.map(({ name, text }) => {
    try {
      const playlist = HLS.parse(text);
      const kind = playlist.isMasterPlaylist ? 'multivariant' : 'media';
      return { name, ok: true, kind, parts: playlist.isMasterPlaylist ? playlist.variants.length : playlist.segments.length };
    } catch (error) {
      return { name, ok: false, error: String(error.message ?? error) };
    }
  }),
}));
