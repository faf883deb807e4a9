import { describe, expect, it } from "vitest";
import { openCircuit } from "../../azure/circuit.ts";
import { LeewardError } from "../../replication/errors.ts";
import { CIRCUIT_FAILURES, CIRCUIT_PAUSE_MS } from "../../replication/limits.ts";

const silence = (): LeewardError =>
  new LeewardError("store-unavailable", "no answer", { operation: "list records", status: undefined });
const refusal = (): LeewardError =>
  new LeewardError("store-unavailable", "busy", { operation: "list records", status: 503 });

/** A circuit, a clock, and how many requests were sent. */
function opened() {
  const world = { nowMs: 1_000_000, sent: 0 };
  const circuit = openCircuit({ now: () => world.nowMs });
  const ask = (answer: () => Promise<string>): Promise<unknown> =>
    circuit
      .run(() => {
        world.sent += 1;
        return answer();
      })
      .catch((error: unknown) => error);
  const fail = (error: Error): Promise<unknown> => ask(() => Promise.reject(error));
  return { world, ask, fail, succeed: () => ask(async () => "here") };
}

async function closed() {
  const one = opened();
  for (let count = 0; count < CIRCUIT_FAILURES; count += 1) await one.fail(silence());
  return one;
}

describe("the circuit of an account", () => {
  it("sends nothing for a while after requests in a row without an answer, and says that it is no news", async () => {
    const { world, succeed } = await closed();
    expect(world.sent).toBe(CIRCUIT_FAILURES);
    expect(await succeed()).toMatchObject({ code: "store-unavailable", facts: { repeated: true } });
    world.nowMs += CIRCUIT_PAUSE_MS - 1;
    expect(await succeed()).toMatchObject({ facts: { repeated: true } });
    expect(world.sent).toBe(CIRCUIT_FAILURES);
  });

  it("then sends one request, refuses others while that one waits, and is open again with its answer", async () => {
    const { world, ask, succeed } = await closed();
    world.nowMs += CIRCUIT_PAUSE_MS;
    let answer: (text: string) => void = () => undefined;
    const first = ask(() => new Promise((resolve) => (answer = resolve)));
    expect(await succeed()).toMatchObject({ facts: { repeated: true } });
    answer("back");
    expect(await first).toBe("back");
    expect([await succeed(), await succeed()]).toEqual(["here", "here"]);
  });

  it("waits again when that one has no answer either, however long it took", async () => {
    const { world, ask, succeed } = await closed();
    world.nowMs += CIRCUIT_PAUSE_MS;
    await ask(() => {
      world.nowMs += CIRCUIT_PAUSE_MS - 1;
      return Promise.reject(silence());
    });
    world.nowMs += CIRCUIT_PAUSE_MS - 1;
    expect(await succeed()).toMatchObject({ facts: { repeated: true } });
    world.nowMs += 1;
    expect(await succeed()).toBe("here");
  });

  it.each([
    ["an answer between", async ({ succeed }: ReturnType<typeof opened>) => succeed()],
    ["a refusal between", async ({ fail }: ReturnType<typeof opened>) => fail(refusal())],
    [
      "what an adapter found in an answer between",
      async ({ fail }: ReturnType<typeof opened>) => fail(new LeewardError("store-unavailable", "the copy runs")),
    ],
  ])("stays open with %s", async (_name, between) => {
    const one = opened();
    for (let count = 0; count < 2 * CIRCUIT_FAILURES; count += 1) {
      await one.fail(silence());
      await between(one);
    }
    expect(await one.succeed()).toBe("here");
  });

  it("is not kept closed by a clock that is set back", async () => {
    const { world, succeed } = await closed();
    world.nowMs -= 60 * 60_000;
    expect(await succeed()).toBe("here");
  });
});
