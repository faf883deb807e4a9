import { createHash } from "node:crypto";
import { LeewardError } from "../errors.ts";
import { NETWORK_MAPPINGS_MAX_COUNT, RESOURCE_ID_MAX_LENGTH } from "../limits.ts";
import { NETWORK_MAPPINGS_RECORD } from "../names.ts";
import type { RecordStore } from "../ports.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import { requireField } from "../records/request-rules.ts";
import { regionName, sameName } from "./name-rules.ts";
import {
  MAPPING_REFUSALS,
  type MappingDecision,
  type NetworkMapping,
  changeMapping,
  deleteMapping,
  mapNetworks,
} from "./network-mapping.ts";

/**
 * `network-mappings.json` in the control container: all mappings in one record, because each decision reads all of
 * them. Changed by compare-and-set only.
 */
interface MappingsRecord {
  readonly version: 1;
  readonly mappings: readonly NetworkMapping[];
}

/** A mapping with its name: 32 hex digits derived from its network and region, so a network has one per region. */
export interface NamedMapping extends NetworkMapping {
  readonly name: string;
}

/** Errors: `record-corrupt`. */
export async function listMappings(control: RecordStore): Promise<readonly NamedMapping[]> {
  return ((await mappingsRecord(control).find())?.body.mappings ?? []).map(named);
}

/** Errors: `mapping-unknown`, `record-corrupt`. */
export async function readMapping(control: RecordStore, name: string): Promise<NamedMapping> {
  const found = (await listMappings(control)).find((mapping) => mapping.name === name);
  if (found === undefined) throw unknown(name);
  return found;
}

/**
 * Maps a network and its way back; repeating the call changes nothing. Errors: `invalid-request`,
 * `operation-not-allowed`, `conflict`.
 */
export async function addMapping(
  control: RecordStore,
  wanted: NetworkMapping,
): Promise<{ readonly mapping: NamedMapping; readonly changed: boolean }> {
  requireNetwork(wanted.sourceNetworkId, "primaryNetworkId");
  requireNetwork(wanted.targetNetworkId, "recoveryNetworkId");
  requireRegion(wanted.sourceRegion, "primaryRegion");
  requireRegion(wanted.targetRegion, "recoveryRegion");
  const changed = await decide(control, (mappings) => mapNetworks(mappings, wanted));
  return { mapping: await readMapping(control, nameOf(wanted)), changed };
}

/**
 * Gives a mapped network another target. Errors: `mapping-unknown`, `invalid-request`, `operation-not-allowed`,
 * `conflict`.
 */
export async function retargetMapping(
  control: RecordStore,
  name: string,
  targetNetworkId: string,
): Promise<NamedMapping> {
  requireNetwork(targetNetworkId, "recoveryNetworkId");
  const { sourceNetworkId, sourceRegion, targetRegion } = await readMapping(control, name);
  await decide(control, (mappings) =>
    changeMapping(mappings, { sourceNetworkId, sourceRegion, targetRegion, targetNetworkId }),
  );
  return readMapping(control, name);
}

/**
 * Removes one direction; a missing one is fine. Items keep the network they were given, so no mapping is ever in use.
 */
export async function removeMapping(control: RecordStore, name: string): Promise<void> {
  await decide(control, (mappings) => {
    const found = mappings.find((mapping) => nameOf(mapping) === name);
    return found === undefined
      ? { kind: "unchanged", mappings }
      : deleteMapping(mappings, found.sourceNetworkId, found.targetRegion);
  });
}

/** Removes the mappings from and to a network that is gone. */
export async function forgetNetwork(control: RecordStore, networkId: string): Promise<void> {
  await decide(control, (mappings) => {
    const kept = mappings.filter(
      ({ sourceNetworkId, targetNetworkId }) =>
        !sameName(sourceNetworkId, networkId) && !sameName(targetNetworkId, networkId),
    );
    return kept.length === mappings.length
      ? { kind: "unchanged", mappings }
      : { kind: "changed", mappings: kept, reverse: false };
  });
}

/** True when the record was written. */
async function decide(
  control: RecordStore,
  decision: (mappings: readonly NetworkMapping[]) => MappingDecision,
): Promise<boolean> {
  let isChanged = false;
  await mappingsRecord(control).upsert((found) => {
    const decided = decision(found?.mappings ?? []);
    if (decided.kind === "refused") throw refusal(decided.reason);
    isChanged = decided.kind === "changed";
    if (!isChanged) return found;
    requireField(
      decided.mappings.length <= NETWORK_MAPPINGS_MAX_COUNT,
      "mapping",
      `at most ${NETWORK_MAPPINGS_MAX_COUNT} network mappings`,
    );
    return { version: 1, mappings: decided.mappings };
  });
  return isChanged;
}

const mappingsRecord = (control: RecordStore): RecordAt<MappingsRecord> =>
  recordAt<MappingsRecord>(control, { name: NETWORK_MAPPINGS_RECORD, version: 1 });

function refusal(reason: keyof typeof MAPPING_REFUSALS): LeewardError {
  const message = MAPPING_REFUSALS[reason];
  if (reason === "same-region")
    return new LeewardError("invalid-request", `recoveryRegion: ${message}`, { field: "recoveryRegion" });
  if (reason === "mapping-unknown") return new LeewardError("mapping-unknown", message);
  return new LeewardError(
    "operation-not-allowed",
    message,
    { reason },
    { hint: "List the network mappings and delete the one that stands in the way." },
  );
}

function unknown(name: string): LeewardError {
  return new LeewardError("mapping-unknown", `There is no network mapping named "${name}".`, { mapping: name });
}

const named = (mapping: NetworkMapping): NamedMapping => ({ ...mapping, name: nameOf(mapping) });

function nameOf({ sourceNetworkId, targetRegion }: NetworkMapping): string {
  const identity = `leeward-network-mapping-1\n${sourceNetworkId.toLowerCase()}\n${regionName(targetRegion)}`;
  return createHash("sha256").update(identity, "utf8").digest("hex").slice(0, 32);
}

function requireNetwork(id: string, field: string): void {
  const isNetwork =
    /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Network\/virtualNetworks\/[^/]+$/i.test(id);
  requireField(isNetwork && id.length <= RESOURCE_ID_MAX_LENGTH, field, "the full id of a virtual network");
}

function requireRegion(region: string, field: string): void {
  requireField(
    /^[a-z0-9]{3,40}$/.test(regionName(region)),
    field,
    "the name of an Azure region, for example westeurope",
  );
}
