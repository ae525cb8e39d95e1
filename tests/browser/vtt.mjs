// Reads WebVTT files with the reference parser.
//   { "files": [{ "name", "text", "kind"?: "subtitles" | "metadata" }] }  →  { "results": [{ name, cues, errors }] }
import parser from 'webvtt-parser';
import { main } from './lib.mjs';

const { WebVTTParser } = parser;

await main(({ files }) => ({
  results: files.map(({ name, text, kind }) => {
    const { cues, errors } = new WebVTTParser().parse(text, kind ?? 'subtitles');
    return { name, cues: cues.length, errors: errors.map((e) => `${e.line}:${e.col ?? 0} ${e.message}`) };
  }),
}));
