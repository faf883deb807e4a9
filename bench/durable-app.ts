import * as df from "durable-functions";

/** The workload of the Durable figures: loading this file registers it, so open the registration first. */
export const SEQUENCE = "sequence";
export const FAN_OUT = "fanOut";
export const FAN_OUT_WIDTH = 20;

df.app.activity("add", { handler: (value: number) => value + 1 });

df.app.orchestration(SEQUENCE, function* (context) {
  const one: unknown = yield context.df.callActivity("add", context.df.getInput());
  const two: unknown = yield context.df.callActivity("add", one);
  return two;
});

df.app.orchestration(FAN_OUT, function* (context) {
  const sum: unknown = yield context.df.Task.all(
    Array.from({ length: FAN_OUT_WIDTH }, (_, index) => context.df.callActivity("add", index)),
  );
  return sum;
});
