// A line to the server that breaks as a phone's does: the client sees its connection end, the server sees nothing.
import { createServer, connect } from 'node:net';

// Listens on a free port in front of `url`. The first `breaks` connections that bring `after_bytes` are cut at the
// client's end and stay open at the server's, until close().
export async function breakingLine(url, breaks, after_bytes) {
  const to = new URL(url);
  const open = new Set();
  let left = breaks;
  const server = createServer((client) => {
    const upstream = connect(Number(to.port), to.hostname);
    open.add(upstream).add(client);
    let bytes = 0;
    let cut = false;
    client.on('data', (chunk) => {
      if (cut) return;
      upstream.write(chunk);
      bytes += chunk.length;
      if (left > 0 && bytes >= after_bytes) {
        left -= 1;
        cut = true;
        client.destroy();
      }
    });
    upstream.on('data', (chunk) => cut || client.write(chunk));
    client.on('end', () => cut || upstream.end());
    upstream.on('end', () => cut || client.end());
    client.on('close', () => cut || upstream.destroy());
    upstream.on('close', () => cut || client.destroy());
    for (const socket of [client, upstream]) socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    for (const socket of open) socket.destroy();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, left: () => left, close };
}
