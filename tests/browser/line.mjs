// The shaping proxy of the tests (tests/src/bin/shaper.rs), as a child: one line in, one line out.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export class Line {
  constructor(path) {
    this.child = spawn(path, [], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.answers = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async tell(what) {
    this.child.stdin.write(`${JSON.stringify(what)}\n`);
    const { value, done } = await this.answers.next();
    if (done) throw new Error('the shaping proxy ended');
    return JSON.parse(value);
  }

  end() {
    this.child.stdin.end();
  }
}
