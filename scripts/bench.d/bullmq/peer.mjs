// node peer.mjs PORT JOBS CONCURRENCY: adds jobs that do nothing, says "ready", waits for a line, and works them off.
// Prints {"seconds"}.
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { Queue, Worker } from 'bullmq'

const [port, jobs, concurrency] = process.argv.slice(2).map(Number)
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }

const queue = new Queue('bench', { connection })
for (let at = 0; at < jobs; at += 1000) {
  const count = Math.min(1000, jobs - at)
  await queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: 'step', data: { of: at + n } })))
}
const worker = new Worker('bench', async () => ({ fence: 1 }), { connection, concurrency, autorun: false })
await worker.waitUntilReady()
const lines = createInterface({ input: process.stdin })
console.log('ready')
await once(lines, 'line')

let left = jobs
const all = new Promise((resolve) => worker.on('completed', () => --left || resolve()))
const start = performance.now()
worker.run()
await all
console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000 }))
await once(lines, 'line')
await worker.close()
await queue.close()
process.exit(0)
