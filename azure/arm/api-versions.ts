import { LeewardError } from "../../replication/errors.ts";
import { parsePath } from "../../replication/resources/ids.ts";

interface KnownType {
  readonly apiVersion: string;
  /** False: Azure reports no provisioningState, and a read that finds the resource means success. */
  readonly hasState: boolean;
}

const stateful = (apiVersion: string): KnownType => ({ apiVersion, hasState: true });
const stateless = (apiVersion: string): KnownType => ({ apiVersion, hasState: false });

/**
 * Azure's API version for each type: those of @azure/arm-resources 8.0.0, arm-network 39.0.0, arm-compute 25.1.1 and
 * arm-storage 21.0.0, against which tests check this table. Names in lower case.
 */
export const API_VERSIONS: Readonly<Record<string, KnownType>> = {
  "microsoft.resources/resourcegroups": stateful("2025-04-01"),
  "microsoft.resources/resources": stateless("2025-04-01"),
  "microsoft.network/virtualnetworks": stateful("2026-01-01"),
  "microsoft.network/virtualnetworks/subnets": stateful("2026-01-01"),
  "microsoft.network/networkinterfaces": stateful("2026-01-01"),
  "microsoft.network/networksecuritygroups": stateful("2026-01-01"),
  "microsoft.network/publicipaddresses": stateful("2026-01-01"),
  "microsoft.network/locations/usages": stateless("2026-01-01"),
  "microsoft.compute/virtualmachines": stateful("2026-04-01"),
  "microsoft.compute/virtualmachines/instanceview": stateless("2026-04-01"),
  "microsoft.compute/virtualmachines/extensions": stateful("2026-04-01"),
  "microsoft.compute/availabilitysets": stateless("2026-04-01"),
  "microsoft.compute/locations/usages": stateless("2026-04-01"),
  "microsoft.compute/disks": stateful("2026-03-02"),
  "microsoft.compute/snapshots": stateful("2026-03-02"),
  "microsoft.compute/skus": stateless("2021-07-01"),
  "microsoft.storage/storageaccounts": stateful("2026-09-01"),
};

/** Errors: `not-supported` for a type that is not in the table. */
export function knownType(path: string): KnownType {
  const type = parsePath(path)?.type;
  const known = type === undefined ? undefined : API_VERSIONS[type];
  if (known !== undefined) return known;
  throw new LeewardError(
    "not-supported",
    `Nothing is known of the resource type ${type ?? ""}.`,
    { path },
    { hint: "This is a fault in Leeward: add the type to azure/arm/api-versions.ts." },
  );
}
