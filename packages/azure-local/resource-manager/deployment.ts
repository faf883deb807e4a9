import { invariant } from "../errors.ts";
import type { Answer, ArmRequest } from "./engine/answer.ts";
import type { JsonObject } from "./engine/json.ts";
import { resourceGroups } from "./types/resource-groups.ts";
import { storageAccounts } from "./types/storage-accounts.ts";

/** A group with storage accounts that run here. */
export interface DeployedGroup {
  readonly name: string;
  readonly region: string;
  readonly accounts: readonly string[];
  /** Of the accounts. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** The requests that a deployment sends before the cloud is used. */
export function deploy(
  groups: readonly DeployedGroup[],
  subscriptionId: string,
  send: (request: ArmRequest) => Answer,
): void {
  const put = (path: string, apiVersion: string, body: JsonObject): void => {
    const { status } = send({
      method: "PUT",
      path,
      query: new URLSearchParams({ "api-version": apiVersion }),
      headers: {},
      body,
    });
    invariant(status < 300, "what a deployment makes can be made", { path, status });
  };
  for (const { name, region: location, accounts, tags = {} } of groups) {
    const group = `/subscriptions/${subscriptionId}/resourceGroups/${name}`;
    put(group, resourceGroups.apiVersion, { location });
    for (const account of accounts) {
      const body = { location, tags, sku: { name: "Standard_ZRS" }, kind: "StorageV2", properties: {} };
      put(`${group}/providers/${storageAccounts.name}/${account}`, storageAccounts.apiVersion, body);
    }
  }
}
