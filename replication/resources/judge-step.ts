import type { ErrorCode } from "../errors.ts";
import { isObject, listOf, textOf } from "./json.ts";
import type { ResourceJson } from "./resource-manager.ts";
import { subnetsOf } from "./source-machine.ts";
import { type Owner, itemOf } from "./tags.ts";
import type { ResourceStep } from "./walk.ts";

export type StepJudgement =
  /** Write it into the ledger, then begin the PUT of the body. */
  | { readonly kind: "create"; readonly body: ResourceJson; readonly createOnly: boolean }
  /**
   * It exists. `ours`: made by Leeward, so it is recorded in the ledger as created; otherwise it existed before, and is
   * never recorded.
   */
  | { readonly kind: "present"; readonly ours: boolean }
  /** Azure is changing it, perhaps for us: read again later. */
  | { readonly kind: "changing" }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };

/** What to do about a step, given what a read found. Pure: the same for every caller. */
export function judgeStep(step: ResourceStep, found: ResourceJson | undefined, { itemId }: Owner): StepJudgement {
  const refused = (code: ErrorCode, message: string): StepJudgement => ({ kind: "refused", code, message });
  if (found === undefined) {
    // Reads may be stale, and a PUT of an existing network deletes the subnets that others have added.
    if (step.body !== undefined)
      return { kind: "create", body: step.body, createOnly: step.kind === "virtual-network" };
    return refused("azure-resource-missing", `The plan counts on ${step.id}, which is gone.`);
  }
  const state = textOf(found, "properties", "provisioningState")?.toLowerCase() ?? "succeeded";
  const maker = itemOf(found);
  // A shared resource is Leeward's, whichever item it was made for.
  const isShared = step.role === "shared";
  const isOurs = maker !== undefined && (isShared || maker === itemId);
  if (!isShared && !isOurs)
    return refused("azure-resource-conflict", `${step.id} exists and was not made for this item.`);
  if (!["succeeded", "failed", "canceled"].includes(state)) return { kind: "changing" };
  const fault = firstFault(step.required, step.kind === "virtual-network" ? withPlainSubnets(found) : found, "");
  if (state !== "succeeded") {
    // The same PUT completes what is half made. A network only while it has no added subnet, which the PUT would
    // delete.
    const isSafe = step.kind !== "virtual-network" || hasNoOther(step.body, found);
    if (isOurs && step.body !== undefined && isSafe) return { kind: "create", body: step.body, createOnly: false };
    return refused("azure-resource-conflict", `${step.id} is in state ${state}.`);
  }
  if (fault !== undefined) return refused("azure-resource-conflict", `${step.id} is not as planned: ${fault}.`);
  return { kind: "present", ours: isOurs };
}

/** The first part of `required` that `found` lacks, in words. */
function firstFault(required: unknown, found: unknown, path: string): string | undefined {
  if (Array.isArray(required)) {
    const missing = required.find(
      (entry: unknown) => !listOf(found).some((candidate) => firstFault(entry, candidate, path) === undefined),
    );
    return missing === undefined ? undefined : `${path} lacks ${JSON.stringify(missing)}`;
  }
  if (isObject(required)) {
    return Object.entries(required)
      .map(([name, part]) =>
        firstFault(part, isObject(found) ? found[name] : undefined, path === "" ? name : `${path}.${name}`),
      )
      .find((fault) => fault !== undefined);
  }
  return plain(required) === plain(found)
    ? undefined
    : `${path} is ${JSON.stringify(found) ?? "missing"}, not ${JSON.stringify(required)}`;
}

/** Azure returns ids, names and regions in its own spelling, "North Europe" for northeurope included. */
const plain = (value: unknown): unknown =>
  typeof value === "string" ? value.toLowerCase().replaceAll(" ", "") : value;

function hasNoOther(body: ResourceJson | undefined, found: ResourceJson): boolean {
  const named = (network: ResourceJson | undefined): readonly string[] =>
    listOf(network, "properties", "subnets").map((subnet) => textOf(subnet, "name")?.toLowerCase() ?? "");
  const planned = named(body);
  return named(found).every((name) => planned.includes(name));
}

/** Azure gives the prefix of a subnet in one of two places. */
function withPlainSubnets(network: ResourceJson): ResourceJson {
  const subnets = subnetsOf(network).map(({ name, addressPrefix }) => ({ name, properties: { addressPrefix } }));
  return { location: network["location"], properties: { subnets } };
}
