// The clients as a platform's page uses them, for clients.mjs. Each function answers
// { url, statuses: method and status of each answer, without_version: answers that lack Tus-Resumable }.
import Uppy from '@uppy/core';
import Tus from '@uppy/tus';
import { Upload } from 'tus-js-client';

const chosen = () => document.getElementById('file').files[0];

// What every request carries: a key, and what error reporting adds.
const headersOf = (key) => ({ Authorization: `Bearer ${key}`, baggage: 'a=b', 'sentry-trace': '0-0-0' });

function listener() {
  const seen = { statuses: [], without_version: 0 };
  const onAfterResponse = (request, response) => {
    const status = response.getStatus();
    if (status) seen.statuses.push(`${request.getMethod()} ${status}`);
    if (status && !response.getHeader('Tus-Resumable')) seen.without_version += 1;
  };
  return { seen, onAfterResponse };
}

function options(asked, seen, resolve, reject) {
  return {
    endpoint: asked.endpoint,
    retryDelays: [0, 100, 500, 1000, 2000, 2000],
    headers: headersOf(asked.key),
    metadata: { filename: chosen().name, filetype: chosen().type },
    onAfterResponse: seen.onAfterResponse,
    onError: reject,
    onSuccess: resolve,
    ...asked.options,
  };
}

// Uploads the chosen file, or goes on with what an earlier page began where `asked.resume` is set.
window.tus = async (asked) => {
  const seen = listener();
  let upload;
  await new Promise((resolve, reject) => {
    const source = asked.stream ? chosen().stream().getReader() : chosen();
    upload = new Upload(source, {
      ...options(asked, seen, resolve, reject),
      onProgress: (sent) => { window.sent = sent; },
    });
    if (!asked.resume) return upload.start();
    return upload.findPreviousUploads().then((previous) => {
      if (previous.length !== 1) throw new Error(`${previous.length} earlier uploads of this file are known`);
      upload.resumeFromPreviousUpload(previous[0]);
      upload.start();
    }).catch(reject);
  });
  return { url: upload.url, ...seen.seen };
};

window.uppy = async (asked) => {
  const seen = listener();
  const uppy = new Uppy({ meta: { title: 'Ähm? 授業' } }).use(Tus, {
    endpoint: asked.endpoint,
    headers: headersOf(asked.key),
    onAfterResponse: seen.onAfterResponse,
    ...asked.options,
  });
  uppy.addFile({ name: chosen().name, type: chosen().type, data: chosen() });
  const { successful, failed } = await uppy.upload();
  if (failed.length) throw new Error(String(failed[0].error));
  return { url: successful[0].uploadURL, ...seen.seen };
};
