// Builds hls.js and chrome.js, each with its brotli and gzip form, from the packages pinned in package.json.
//   npm ci && npm run build
// All that a page loads has a budget of 130 kB with brotli (a test holds it), and these two are four fifths of it.
// hls.js is built from its own sources with the switches its authors provide for lighter builds. What we never
// serve is left out: DRM, CMCD, steering, interstitials, I-frame playback, transport streams and the captions
// inside them. Alternative sound and subtitles stay (the stock "light" build has neither).
import { build } from 'esbuild';
import { minify } from 'terser';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import zlib from 'node:zlib';

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version;

const features = {
  ALT_AUDIO: true,
  SUBTITLES: true,
  CMCD: false,
  CONTENT_STEERING: false,
  EME_DRM: false,
  IFRAMES: false,
  INTERSTITIALS: false,
  M2TS_ADVANCED_CODECS: false,
  MEDIA_CAPABILITIES: false,
  VARIABLE_SUBSTITUTION: false,
};
const define = { __VERSION__: JSON.stringify(version('hls.js')), __HLS_WORKER_BUNDLE__: 'undefined', __IN_WORKER__: 'false' };
for (const [name, on] of Object.entries(features)) define[`__USE_${name}__`] = String(on);

// Modules behind those switches that a bundler cannot prove unused.
const leftOut =
  /\/(eme-controller|cmcd-controller|content-steering-controller|interstitials-controller|iframe-controller|mediakeys-helper|cea-608-parser|tsdemuxer|aacdemuxer|ac3-demuxer|mp3demuxer|aac-helper|mp4-generator|inject-worker)$/;
// What stands in for modules that no playlist of ours asks for (encrypted segments, TTML captions, dropped-frame counting,
// segments that are played before they are whole), for what browsers have by now, and for what our style hides of the controls.
const nothing = 'export default undefined;';
const standIns = {
  'fps-controller': nothing,
  'id3-track-controller': nothing,
  'fetch-loader': `${nothing} export const fetchSupported = () => false;`,
  'imsc1-ttml-parser': `${nothing} export const IMSC1_CODEC = "stpp.ttml.im1t"; export const parseIMSC1 = undefined;`,
  'key-loader': 'export default class { abort() {} destroy() {} loadClear() { return null; } }',
  decrypter: 'export default class { reset() {} flush() {} destroy() {} }',
  'url-toolkit': 'export const buildAbsoluteURL = (base, url) => new URL(url, base).href;',
  vttcue: 'export default self.VTTCue;',
  // Buttons wait for this element before they listen.
  'media-tooltip.js': `export default class Tooltip extends HTMLElement {
    constructor() {
      super();
      // Where markup brings no shadow, its text would be seen.
      if (!this.shadowRoot) this.attachShadow({ mode: 'open' });
    }
    static shadowRootOptions = { mode: 'open' };
    static getTemplateHTML() { return ''; }
  }
  customElements.define('media-tooltip', Tooltip);`,
  'media-keyboard-shortcuts-dialog.js': 'export const getHotkeyToken = (key) => `no${key === " " ? "space" : key.toLowerCase()}`;',
  'media-preview-chapter-display.js': '',
};
const STAND_IN = new RegExp(`(^|/)(${Object.keys(standIns).join('|').replaceAll('.', '\\.')})$`);
const without = {
  name: 'left-out',
  setup(b) {
    b.onResolve({ filter: leftOut }, (args) => ({ path: args.path, namespace: 'left-out' }));
    b.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({
      contents: 'module.exports = new Proxy({}, { get: () => undefined });',
    }));
    b.onResolve({ filter: STAND_IN }, (args) => ({ path: args.path.split('/').at(-1), namespace: 'stand-in' }));
    b.onLoad({ filter: /.*/, namespace: 'stand-in' }, ({ path }) => ({ contents: standIns[path] }));
    b.onLoad({ filter: /hls\.js\/src\/.*\.ts$/ }, ({ path }) => {
      let text = readFileSync(path, 'utf8');
      // Messages for a developer's console, which only `debug: true` would show, are a tenth of the file.
      text = text.replace(/(?<![.\w])(this|logger|this\.logger|hls\.logger|this\.hls\.logger)\.(log|warn|debug|info|trace)\(/g, 'void 0 && $&');
      // Of the remuxer for transport streams only its helpers are used.
      if (path.endsWith('/mp4-remuxer.ts')) text = `const MPEG_TS_PTS_ROLLOVER = 2 ** 33; export default undefined; ${text.slice(text.indexOf('export function normalizePts'))}`;
      return { contents: text, loader: 'ts' };
    });
  },
};

const banner = (name, license) => ({ js: `/*! ${name} ${version(name)}, ${license}; see VENDORED.md */` });
const common = { bundle: true, minify: true, format: 'esm', target: 'es2022', legalComments: 'none', logLevel: 'warning', plugins: [without] };

await build({
  ...common,
  entryPoints: ['node_modules/hls.js/src/hls.ts'],
  outfile: 'hls.js',
  define,
  banner: banner('hls.js', 'Apache-2.0'),
});
await build({ ...common, entryPoints: ['chrome.entry.js'], outfile: 'chrome.js', banner: banner('media-chrome', 'MIT') });

for (const name of ['hls.js', 'chrome.js']) {
  // Another 6% of hls.js: calls that say nothing any more go with what they would have said.
  const bundled = readFileSync(name, 'utf8');
  const { code } = await minify(bundled, { module: true, compress: { passes: 3, ecma: 2020 }, format: { comments: /^!/ } });
  const bytes = Buffer.from(code);
  writeFileSync(name, bytes);
  const params = { [zlib.constants.BROTLI_PARAM_QUALITY]: 11, [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const br = zlib.brotliCompressSync(bytes, { params });
  const gz = zlib.gzipSync(bytes, { level: 9 });
  writeFileSync(`${name}.br`, br);
  writeFileSync(`${name}.gz`, gz);
  console.log(name, bytes.length, 'br', br.length, 'gz', gz.length, createHash('sha256').update(bytes).digest('hex'));
}
