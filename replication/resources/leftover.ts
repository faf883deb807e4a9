import type { JobLeftover } from "../jobs/job.ts";
import type { TargetPlan } from "../planning/plan.ts";
import { parsePath } from "./ids.ts";
import { listOf, textOf } from "./json.ts";
import type { LedgerEntry } from "./ledger.ts";
import type { ResourceJson } from "./resource-manager.ts";

/** What a job says about a resource of Leeward's that stays: why, and how to remove it. */

/**
 * A group or an account: its contents go with it, and no list of Azure shows for certain that others have put nothing
 * there.
 */
export function holderLeft({ id, kind }: Pick<LedgerEntry, "id" | "kind">): JobLeftover {
  const path = parsePath(id);
  const what = kind === "resource-group" ? "resource group" : "storage account";
  const command =
    kind === "resource-group"
      ? `az group delete --name ${path?.name ?? ""} --subscription ${path?.subscriptionId ?? ""}`
      : `az storage account delete --ids ${id}`;
  return {
    id,
    message: `Leeward made this ${what}, and never removes one: others may have put something into it that no list of Azure shows yet.`,
    hint: `Look at what is in it. If nothing of it is needed: ${command}`,
  };
}

/** It has users outside this item. */
export function inUseLeft(id: string, users: readonly string[]): JobLeftover {
  return {
    id,
    message: `Leeward made it, and others use it: ${users.join(", ")}.`,
    hint: `When they need it no longer: az resource delete --ids ${id}`,
  };
}

/** A network with unplanned subnets: they would go with it. */
export function widenedLeft(id: string, subnets: readonly string[]): JobLeftover {
  return {
    id,
    message: `Leeward made this network, and others have added subnets: ${subnets.join(", ")}.`,
    hint: `When they are needed no longer: az network vnet delete --ids ${id}`,
  };
}

/** Subnets that the plan does not have: Azure deletes them with their network while they are empty. */
export function subnetsAdded(plan: TargetPlan | undefined, network: ResourceJson | undefined): readonly string[] {
  const planned = plan?.network.subnets.map(({ name }) => name.toLowerCase()) ?? [];
  const names = listOf(network, "properties", "subnets").flatMap((subnet) => textOf(subnet, "name") ?? []);
  return names.filter((name) => !planned.includes(name.toLowerCase()));
}

/** The ledgers of these items are unreadable. */
export function unreadLeft(id: string, itemIds: readonly string[]): JobLeftover {
  return {
    id,
    message: `Leeward made it, and the ledgers of these items, which may use it, are damaged: ${itemIds.join(", ")}.`,
    hint: `Restore their ledger.json from the account's soft delete. If nobody uses it: az resource delete --ids ${id}`,
  };
}

/** The source region did not answer, or not in time. The sweep retries it. */
export function unreachedLeft({ id, kind }: Pick<LedgerEntry, "id" | "kind">, reason: string): JobLeftover {
  const command =
    kind === "cache-data"
      ? "delete the containers leeward-cache-* and leeward-foreign-* of the item"
      : `az resource delete --ids ${id}`;
  return {
    id,
    message: `It lies in the source region and could not be removed: ${reason}`,
    hint: `Leeward tries again each hour while the item is not protected. Otherwise, when the region is back: ${command}`,
  };
}
