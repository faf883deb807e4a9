import { readManaged } from "../../replication/jobs/managed-item.ts";
import { type FlowContext, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { listOf, textOf } from "../../replication/resources/json.ts";
import type { ResourceManager } from "../../replication/resources/resource-manager.ts";
import { type StepAnswer, answerOfChange, planOf, stepAnswer } from "./resources.ts";

/** Begins to shut the source down; done if it is off or gone. */
export async function beginShutDown(context: FlowContext, run: FlowRun): Promise<StepAnswer> {
  const { resourceManager } = managementOf(context);
  const { sourceVmId } = await readManaged(context.stores, run.itemId);
  const power = await powerOf(resourceManager, sourceVmId);
  if (power === undefined || power === "stopped" || power === "deallocated") return { kind: "done" };
  return stepAnswer(await resourceManager.begin({ kind: "act", id: sourceVmId, action: "powerOff" }));
}

/** Polls any change that needs no ledger entry. */
export async function lookChange(
  context: FlowContext,
  _run: FlowRun,
  { operation }: { readonly operation: string },
): Promise<StepAnswer> {
  return stepAnswer(await managementOf(context).resourceManager.poll(operation));
}

/** Done when the new machine runs; starts it otherwise. */
export async function beginMachine(context: FlowContext, run: FlowRun): Promise<StepAnswer> {
  const { resourceManager } = managementOf(context);
  const { machine } = await planOf(context, run);
  const power = await powerOf(resourceManager, machine.id);
  if (power === "running") return { kind: "done" };
  if (power !== "stopped" && power !== "deallocated") return { kind: "again", delayMs: 0, failed: undefined };
  const begun = await resourceManager.begin({ kind: "act", id: machine.id, action: "start" });
  return answerOfChange(context, run, { id: machine.id }, begun);
}

/** The last part of `PowerState/...`; undefined for a machine that is missing or reports none. */
async function powerOf(resourceManager: ResourceManager, machineId: string): Promise<string | undefined> {
  const view = await resourceManager.read(`${machineId}/instanceView`);
  const codes = listOf(view, "statuses").map((status) => textOf(status, "code") ?? "");
  return codes.find((code) => code.startsWith("PowerState/"))?.slice("PowerState/".length);
}
