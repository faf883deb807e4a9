import { forEachConcurrently, mapConcurrently } from "../../replication/concurrency.ts";
import { LeewardError } from "../../replication/errors.ts";
import { AZURE_BUSY_MS, FLOW_STEPS_AT_ONCE } from "../../replication/limits.ts";
import { type FlowContext, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { isYoungIn } from "../../replication/resources/azure-lag.ts";
import { type StepJudgement, judgeStep } from "../../replication/resources/judge-step.ts";
import { changeLedger, readLedger, readOtherLedgers } from "../../replication/resources/ledger-record.ts";
import { intend, markCreated, noteAnswered, noteSent } from "../../replication/resources/ledger.ts";
import type { Begun, ResourceManager } from "../../replication/resources/resource-manager.ts";
import { type ResourceStep, type Walk, protectionWalk } from "../../replication/resources/walk.ts";
import { type StepAnswer, answerOfChange, planOf } from "./resources.ts";
import { restoredWalk } from "./restore.ts";

/** `protection`: what items share. `failover`: the machine, on the disks that this job restored. */
export type WalkName = "protection" | "failover";

/**
 * How far a walk has come: all earlier stages are done, and so is everything of this one that is not open. `open`
 * undefined: nothing of the stage was begun.
 */
export interface WalkPlace {
  readonly walk: WalkName;
  readonly stage: number;
  readonly open: readonly OpenStep[] | undefined;
}

interface OpenStep {
  /** Its number in the stage. */
  readonly step: number;
  /** The operation to poll; undefined: not begun yet. */
  readonly operation: string | undefined;
}

export type WalkAnswer =
  | { readonly kind: "done" }
  /**
   * Call again with this after the delay (0: Azure named none). `failed`: Azure failed the step for a transient reason.
   */
  | {
      readonly kind: "open";
      readonly stage: number;
      readonly open: readonly (OpenStep & { readonly failed: string | undefined })[];
      readonly delayMs: number;
    };

/**
 * Polls the open steps of a stage and begins the missing ones, in parallel; when that completes the stage, begins the
 * next at once. Returns when there is something to wait for. The ledger records every resource of a stage before the
 * first is begun. Errors: what Azure failed or refused for good.
 */
export async function advanceWalk(context: FlowContext, run: FlowRun, place: WalkPlace): Promise<WalkAnswer> {
  const walk = await walkOf(context, run, place.walk);
  let from = place.open;
  for (const [stage, steps] of walk.entries()) {
    if (stage < place.stage) continue;
    const answers = await advanceStage(
      context,
      run,
      steps,
      from ?? steps.map((_, step) => ({ step, operation: undefined })),
    );
    from = undefined;
    const open = answers.flatMap(([step, answer]) => (answer.kind === "done" ? [] : [{ step, answer }]));
    if (open.length === 0) continue;
    return {
      kind: "open",
      stage,
      open: open.map(({ step, answer }) =>
        answer.kind === "look"
          ? { step, operation: answer.operation, failed: undefined }
          : { step, operation: undefined, failed: answer.failed },
      ),
      delayMs: Math.max(...open.map(({ answer }) => answer.delayMs)),
    };
  }
  return { kind: "done" };
}

async function advanceStage(
  context: FlowContext,
  run: FlowRun,
  steps: readonly ResourceStep[],
  open: readonly OpenStep[],
): Promise<readonly (readonly [number, StepAnswer])[]> {
  const { resourceManager } = managementOf(context);
  const todo = await decide(context, run, steps, open);
  const sent = todo.filter(({ action }) => action.kind === "create");
  await writeDown(context, run, sent, (ledger, resources, jobId, nowMs) =>
    noteSent(intend(ledger, resources, jobId, nowMs), idsOf(resources)),
  );
  const answers = new Map<number, StepAnswer>();
  const heard: Todo[] = [];
  try {
    await forEachConcurrently(FLOW_STEPS_AT_ONCE, todo, async (each) => {
      const begun = await act(resourceManager, each.step, each.action);
      heard.push(each);
      answers.set(each.number, await answerOfChange(context, run, each.step, begun));
    });
  } finally {
    const answered = heard.filter((each) => sent.includes(each));
    await writeDown(context, run, answered, (ledger, resources) => noteAnswered(ledger, idsOf(resources)));
  }
  // Existing resources that are not ours are never recorded.
  const seen = todo.filter(
    ({ number, action }) => answers.get(number)?.kind === "done" && (action.kind !== "present" || action.ours),
  );
  await writeDown(context, run, seen, (ledger, resources, jobId, nowMs) =>
    resources.reduce((marked, { id }) => markCreated(marked, id, nowMs), intend(ledger, resources, jobId, nowMs)),
  );
  return [...answers];
}

const idsOf = (resources: readonly { readonly id: string }[]): readonly string[] => resources.map(({ id }) => id);

interface Todo {
  readonly number: number;
  readonly step: ResourceStep;
  readonly action:
    | { readonly kind: "look"; readonly operation: string }
    | Exclude<StepJudgement, { readonly kind: "refused" }>;
}

/** What to do about each open step. Errors: that of the first step that must not be begun; then none is begun. */
async function decide(
  context: FlowContext,
  run: FlowRun,
  steps: readonly ResourceStep[],
  open: readonly OpenStep[],
): Promise<readonly Todo[]> {
  const { resourceManager } = managementOf(context);
  return mapConcurrently(FLOW_STEPS_AT_ONCE, open, async ({ step: number, operation }): Promise<Todo> => {
    const step = steps[number];
    if (step === undefined) throw new LeewardError("internal", "The walk has no such step.", { number });
    if (operation !== undefined) return { number, step, action: { kind: "look", operation } };
    const action = judgeStep(step, await resourceManager.read(step.id), run);
    if (action.kind === "refused") throw new LeewardError(action.code, action.message, { id: step.id });
    const isHidden = action.kind === "create" && action.createOnly && (await isYoungAnywhere(context, run, step.id));
    return { number, step, action: isHidden ? { kind: "changing" } : action };
  });
}

/** Whether some ledger has just made the resource: then a read that misses it is not trusted. */
async function isYoungAnywhere({ stores, clock }: FlowContext, { itemId }: FlowRun, id: string): Promise<boolean> {
  const { ledgers } = await readOtherLedgers(stores, itemId);
  return [await readLedger(stores, itemId), ...ledgers].some((ledger) => isYoungIn(ledger, id, clock.now()));
}

async function act(resourceManager: ResourceManager, { id }: ResourceStep, action: Todo["action"]): Promise<Begun> {
  switch (action.kind) {
    case "look":
      return resourceManager.poll(action.operation);
    case "create":
      return resourceManager.begin({ kind: "put", id, body: action.body, createOnly: action.createOnly });
    case "changing":
      return { kind: "busy", retryAfterMs: AZURE_BUSY_MS, azureCode: "", message: "" };
    case "present":
      return { kind: "done", result: undefined };
  }
}

async function writeDown(
  { stores, clock }: FlowContext,
  { itemId, jobId }: FlowRun,
  todo: readonly Todo[],
  change: typeof intend,
): Promise<void> {
  if (todo.length === 0) return;
  const resources = todo.map(({ step }) => step);
  await changeLedger(stores, itemId, (ledger) => change(ledger, resources, jobId, clock.now()));
}

/** The same plan always gives the same walk. */
async function walkOf(context: FlowContext, run: FlowRun, walk: WalkName): Promise<Walk> {
  const plan = await planOf(context, run);
  return walk === "protection" ? protectionWalk(plan, run) : restoredWalk(context, run, plan);
}
