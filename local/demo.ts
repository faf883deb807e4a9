import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseDemoOptions } from "./demo/options.ts";
import { runDemo } from "./demo/run.ts";
import { openCloud } from "./demo/scene.ts";
import { createTerminal } from "./demo/terminal.ts";
import { seededRandom } from "./lab/random.ts";
import { DEMO_STEP_END_MS } from "./limits.ts";
import { exitWith } from "./supervisor/exit.ts";
import { onInterrupt } from "./supervisor/interrupt.ts";

/** Some disk contents or their file system did not match the log. */
const EXIT_REFUTED = 1;

/**
 * `npm run demo [-- --seed N] [--corrupt] [--keep]`: real block writes become recovery points, the function app is
 * killed twice, and two restored points are proven equal to the source. Exit code 0 when everything was proven, 1 when
 * a restored point was refuted, 2 when the demo could not run.
 */
async function demo(): Promise<number> {
  const options = parseDemoOptions(process.argv.slice(2), Math.random);
  const terminal = createTerminal({
    write: (text) => void process.stdout.write(text),
    isTerminal: process.stdout.isTTY,
    columns: process.stdout.columns ?? 120,
    now: () => Date.now(),
  });
  const folder = await mkdtemp(join(tmpdir(), "leeward-demo-"));
  const random = seededRandom(options.seed, 0x64656d6f);
  terminal.line(`\n  Leeward demo, seed ${options.seed}\n`);
  const interrupt = onInterrupt();
  try {
    const cloud = await terminal.stage("local cloud", async () => {
      const opened = await openCloud(folder, random);
      return {
        result: opened,
        detail: `storage in westeurope and northeurope, events, function app at ${opened.app.url}`,
      };
    });
    interrupt.killWith(() => cloud.kill());
    const story = runDemo({ options, folder, random, terminal, signal: interrupt.signal }, cloud);
    let proven: boolean;
    try {
      proven = await interrupt.race(story);
    } finally {
      await cloud.stop();
      // After Ctrl-C the step under way still ends by itself, and may write to the folder until then.
      await Promise.race([story.catch(() => undefined), sleep(DEMO_STEP_END_MS)]);
    }
    terminal.line(
      proven
        ? "\n  The restored point and the machine in northeurope are exact prefixes of the guest's write log.\n"
        : "\n  What was restored is NOT what the guest wrote.\n",
    );
    if (!proven || options.corrupt)
      terminal.line(`  Again: npm run demo -- --seed ${options.seed}${options.corrupt ? " --corrupt" : ""}\n`);
    return proven ? 0 : EXIT_REFUTED;
  } finally {
    interrupt.end();
    if (options.keep) terminal.line(`  Everything is left in ${folder}\n`);
    else await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

await exitWith(demo);
