import type { ExistingStorageAccount } from "./facts.ts";
import { type Findings, refuse, resourceId, settleName } from "./findings.ts";
import { hashedName, regionName, sameName } from "./name-rules.ts";
import type { PlanInput } from "./options.ts";
import type { PlannedStorageAccount } from "./plan.ts";

/**
 * The account of one purpose: the operator's choice; else one of Leeward's that fits; else a new one. All items of a
 * subscription, region and churn class share an account, each in its own containers. The cache account is in the source
 * region, the target account in the target region.
 */
export function planAccount(
  input: PlanInput,
  subscriptionId: string,
  purpose: "cache" | "target",
  findings: Findings,
): PlannedStorageAccount {
  const { source, options, facts } = input;
  const region = regionName(purpose === "cache" ? source.region : options.targetRegion);
  const high = purpose === "cache" && options.churn === "High";
  const kind = high
    ? ({ accountKind: "BlockBlobStorage", sku: "Premium_LRS" } as const)
    : ({ accountKind: "StorageV2", sku: "Standard_LRS" } as const);
  const chosen = purpose === "cache" ? options.cacheAccountName : options.targetAccountName;
  const fits = (account: ExistingStorageAccount): boolean =>
    account.purpose === purpose && regionName(account.region) === region && (account.churn === "High") === high;
  const found =
    chosen === undefined
      ? facts.storageAccounts.filter(fits).toSorted((left, right) => (left.name < right.name ? -1 : 1))[0]
      : facts.storageAccounts.find(({ name }) => sameName(name, chosen));
  if (found !== undefined) {
    const { id, name, resourceGroup } = found;
    const subject = `${purpose}AccountName`;
    if (regionName(found.region) !== region) {
      const why = `The account ${name} is in ${found.region}, not in ${region}.`;
      refuse(findings, "resource-in-other-region", subject, why);
    } else if ((found.churn === "High") !== high) {
      refuse(findings, "option-invalid", subject, `The account ${name} is of the other churn class.`);
    }
    return {
      id,
      name,
      resourceGroup,
      region,
      action: "reuse",
      why: chosen === undefined ? "exists" : "customised",
      purpose,
      ...kind,
    };
  }
  const key = `${subscriptionId}/${region}/${purpose}/${high ? "High" : "Normal"}`;
  // The name is globally unique: the plain words would be taken long ago.
  const defaultName = hashedName("storage-account", region, purpose, key);
  const { name, why } = settleName(input, findings, {
    kind: "storage-account",
    resourceGroup: undefined,
    chosen,
    base: defaultName,
    suffix: "",
    key,
    replaceable: true,
    subject: `${purpose}AccountName`,
  });
  const resourceGroup = facts.controlResourceGroup;
  return {
    id: resourceId(subscriptionId, resourceGroup, "storage-account", name),
    name,
    resourceGroup,
    region,
    action: "create",
    why,
    purpose,
    ...kind,
  };
}
