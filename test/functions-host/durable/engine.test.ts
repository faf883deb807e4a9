import * as df from "durable-functions";
import { describe, expect, it } from "vitest";
import { EventType } from "../../../local/functions-host/durable/history.ts";
import { makeWorld } from "./world.ts";

const hello = (input: unknown): string => `hello ${String(input)}`;

describe("an orchestration", () => {
  it("calls activities one after the other and returns", async () => {
    await using world = await makeWorld({
      orchestrators: {
        *greet(context) {
          const first: unknown = yield context.df.callActivity("hello", context.df.getInput());
          const second: unknown = yield context.df.callActivity("hello", { n: 1 });
          return [first, second];
        },
      },
      activities: { hello: (input) => (typeof input === "string" ? hello(input) : input) },
    });
    const id = await world.start("greet", "you");
    expect(await world.ended(id)).toEqual(["Completed", ["hello you", { n: 1 }]]);
  });
});
void df;
void EventType;
