// Upload clients in a page of another site, in Chromium.
//   { "url": of the server, "key", "files": { case: path } }
//   → { case: { "url", "statuses", "without_version" } }
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { launch, main } from '../browser/lib.mjs';
import { breakingLine } from './line.mjs';

const MIB = 1 << 20;

// How each case is asked for; `line` goes through a line that breaks, `killed` closes the page when half is sent.
const CASES = {
  tus: { client: 'tus', options: {} },
  tus_override: { client: 'tus', options: { overridePatchMethod: true, addRequestId: true, chunkSize: MIB } },
  tus_retry: { client: 'tus', options: {}, line: 3 },
  tus_creation: { client: 'tus', options: { uploadDataDuringCreation: true } },
  tus_stream: { client: 'tus', options: { uploadLengthDeferred: true, chunkSize: MIB }, stream: true },
  tus_parallel: { client: 'tus', options: { parallelUploads: 3 } },
  tus_parallel_retry: { client: 'tus', options: { parallelUploads: 3, overridePatchMethod: true }, line: 3 },
  tus_killed: { client: 'tus', options: { chunkSize: MIB }, killed: true },
  tus_parallel_killed: { client: 'tus', options: { parallelUploads: 3, chunkSize: MIB / 2 }, killed: true },
  uppy: { client: 'uppy', options: {} },
  uppy_creation: { client: 'uppy', options: { uploadDataDuringCreation: true, addRequestId: true } },
  uppy_parallel: { client: 'uppy', options: { parallelUploads: 2, overridePatchMethod: true } },
  uppy_retry: { client: 'uppy', options: {}, line: 2 },
};

async function site() {
  const entry = fileURLToPath(new URL('page.mjs', import.meta.url));
  const built = await build({ entryPoints: [entry], bundle: true, format: 'iife', write: false, logLevel: 'error' });
  const script = built.outputFiles[0].contents;
  const html = '<!doctype html><meta charset="utf-8"><input id="file" type="file"><script src="/page.js"></script>';
  const server = createServer((request, answer) => {
    const [type, body] = request.url === '/page.js' ? ['text/javascript', script] : ['text/html', html];
    answer.writeHead(200, { 'content-type': type }).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}/` };
}

async function open(context, url, file) {
  const page = await context.newPage();
  await page.goto(url);
  await page.setInputFiles('#file', file);
  return page;
}

async function upload(context, home, asked, name, file) {
  const { client, options, stream, line: breaks, killed } = CASES[name];
  const line = breaks ? await breakingLine(asked.url, breaks, MIB + 12_345) : null;
  const endpoint = `${line ? line.url : asked.url}/v1/uploads`;
  const call = { endpoint, key: asked.key, options, stream };
  const run = (page, more) => page.evaluate(([c, a]) => window[c](a), [client, { ...call, ...more }]);
  try {
    let page = await open(context, home, file);
    if (killed) {
      const ended = run(page).catch(() => {});
      await page.waitForFunction((half) => window.sent >= half, 2 * MIB, { polling: 20 });
      await page.close();
      await ended;
      page = await open(context, home, file);
    }
    const result = await run(page, { resume: killed });
    await page.close();
    if (line?.left()) throw new Error(`the line broke ${breaks - line.left()} times, not ${breaks}`);
    return result;
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  } finally {
    line?.close();
  }
}

await main(async (asked) => {
  const { server, url } = await site();
  const browser = await launch();
  try {
    const context = await browser.newContext();
    const results = {};
    for (const [name, file] of Object.entries(asked.files)) results[name] = await upload(context, url, asked, name, file);
    return results;
  } finally {
    await browser.close();
    server.close();
  }
});
