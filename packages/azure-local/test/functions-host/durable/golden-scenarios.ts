import * as df from "durable-functions";
import type { Functions, World } from "./world.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const later = (context: df.OrchestrationContext, durationMs: number): Date =>
  new Date(context.df.currentUtcDateTime.getTime() + durationMs);

/** An orchestration `work` that takes every kind of step in its own way, and what happens to it until it has ended. */
interface Scenario {
  readonly functions: () => Functions;
  readonly play: (world: World) => Promise<void>;
}

function failing(times: number): () => string {
  let runs = 0;
  return () => {
    runs += 1;
    // A stack would name files and lines of this machine.
    if (runs <= times) throw Object.assign(new Error(`failure ${runs}`), { stack: "at the activity" });
    return `success ${runs}`;
  };
}

/** Ends the activity that is slower than its orchestration. */
let release: (value: unknown) => void = () => undefined;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  sequence: {
    functions: () => ({
      orchestrators: {
        *work(context) {
          const one: unknown = yield context.df.callActivity("echo", "text");
          const two: unknown = yield context.df.callActivity("echo", { one });
          return two;
        },
      },
      activities: { echo: (input) => input },
    }),
    play: () => Promise.resolve(),
  },
  "fan-out-with-retries": {
    functions: () => ({
      orchestrators: {
        *work(context) {
          const retry = Object.assign(new df.RetryOptions(1000, 3), { backoffCoefficient: 2 });
          const calls = ["good", "flaky", "hopeless"].map((name) => context.df.callActivityWithRetry(name, retry));
          try {
            yield context.df.Task.all(calls);
          } catch {
            context.df.setCustomStatus("caught");
          }
          const last: unknown = yield context.df.callActivity("good");
          return last;
        },
      },
      activities: { good: () => 1, flaky: failing(1), hopeless: failing(99) },
    }),
    play: async (world) => {
      await world.asleep(2);
      await world.clock.advance(1000);
      await world.asleep();
      await world.clock.advance(2000);
    },
  },
  "timers-and-events": {
    functions: () => ({
      orchestrators: {
        *work(context) {
          yield context.df.createTimer(later(context, 8 * DAY_MS));
          const timeout = context.df.createTimer(later(context, MINUTE_MS));
          const event = context.df.waitForExternalEvent("Go");
          const winner: unknown = yield context.df.Task.any([event, timeout]);
          if (winner === event) timeout.cancel();
          const again: unknown = yield context.df.waitForExternalEvent("again");
          yield context.df.createTimer(later(context, 1000));
          return [winner === event, again];
        },
      },
    }),
    play: async (world) => {
      await world.raise("work-1", "AGAIN", { n: 1 });
      await world.asleep();
      await world.clock.advance(8 * DAY_MS);
      await world.asleep();
      await world.raise("work-1", "go");
      await world.asleep(2);
      await world.clock.advance(1000);
    },
  },
  "sub-orchestrations": {
    functions: () => ({
      orchestrators: {
        *work(context) {
          const retry = new df.RetryOptions(1000, 2);
          const both: unknown = yield context.df.Task.all([
            context.df.callSubOrchestrator("child", 1),
            context.df.callSubOrchestratorWithRetry("unlucky", retry, 2, "named"),
          ]);
          return both;
        },
        *child(context) {
          return context.df.getInput();
        },
        *unlucky(context) {
          const result: unknown = yield context.df.callActivity("flaky");
          return result;
        },
      },
      activities: { flaky: failing(1) },
    }),
    play: async (world) => {
      await world.asleep();
      await world.clock.advance(1000);
    },
  },
  "compounds-in-compounds": {
    functions: () => ({
      orchestrators: {
        *work(context) {
          const { Task } = context.df;
          const slow = context.df.callActivity("slow");
          const timer = context.df.createTimer(later(context, MINUTE_MS));
          const results: unknown = yield Task.all([Task.any([slow, timer]), context.df.callActivity("quick")]);
          const after: unknown = yield context.df.callActivity("quick");
          return [(results as unknown[]).length, after];
        },
      },
      activities: { slow: () => new Promise((resolve) => (release = resolve)), quick: () => "quick" },
    }),
    play: async (world) => {
      await world.asleep();
      await world.clock.advance(MINUTE_MS);
      await world.ended("work-1");
      release("too late");
    },
  },
  "suspended-meanwhile": {
    functions: () => ({
      orchestrators: {
        *work(context) {
          const one: unknown = yield context.df.waitForExternalEvent("one");
          const two: unknown = yield context.df.callActivity("echo", one);
          return two;
        },
      },
      activities: { echo: (input) => input },
    }),
    play: async (world) => {
      await world.suspend("work-1");
      await world.until(() => (world.engine.find("work-1")?.status === "Suspended" ? true : undefined));
      await world.raise("work-1", "One", 1);
      await world.resume("work-1");
    },
  },
};
