import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 100_000;
const LOOK_MS = 150;

/** Asks until there is an answer; fails with `what` when there is none for far longer than any claim or timer lasts. */
export async function until<Answer>(what: string, ask: () => Promise<Answer | undefined>): Promise<Answer> {
  const endMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > endMs) throw new Error(`never happened: ${what}`);
    await sleep(LOOK_MS);
  }
}
