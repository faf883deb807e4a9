import type { ErrorCode } from "../../../replication/errors.ts";
import { ticketed } from "../app-under-test.ts";
import { DISKS, ITEM_TOKEN, type Names, VM, bearer, heartbeat, mappingOf } from "./fuzz-world.ts";
import type { Mutation } from "./hostile.ts";

/** One request that is all right, and what may become of it when it is not. */
export interface RouteCase {
  /** Method and route as `functions/index.ts` registers them. */
  readonly route: string;
  /** What distinguishes it from other cases of its route. */
  readonly what?: string;
  readonly params?: (names: Names) => Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Undefined for a route that reads no body. */
  readonly body?: (names: Names) => object;
  /** The status of the request as it stands here. */
  readonly status: number;
  /** The answer is meant to hold a token or a grant. */
  readonly grants?: true;
  /** It takes `x-ms-client-request-id`, and the same again is the same request. */
  readonly repeatable?: true;
  /** Fields that it does not know are read over; otherwise they are refused. */
  readonly readsOver?: true;
  /** The mobility service's: a wrong one in this place is 401. */
  readonly token?: "header" | "body";
  /** Fields, as far as they are given, whose type does not matter. */
  readonly loose?: readonly string[];
  /** Objects whose fields are names that the caller chooses. */
  readonly named?: readonly string[];
  /** What a name in the route may be refused with; a name that is none may also be fine (deleting, making). */
  readonly unknown?: readonly ErrorCode[];
  /** Changes of the body that were answered wrongly once. */
  readonly found?: readonly Mutation[];
  /** What may be refused beside `invalid-request`, when the body or the headers are changed. */
  readonly refusals?: readonly ErrorCode[];
}

const items = "replicationProtectedItems/{item}";
const web = (): Readonly<Record<string, string>> => ({ item: "web-1" });
const unknownItem = ["item-unknown"] as const;
/** Whoever has no ticket of an item does not learn whether there is one of that name. */
const noTicket = ["not-authorized"] as const;

const READS: readonly RouteCase[] = [
  { route: "GET openapi.json", status: 200 },
  { route: "GET replicationProtectedItems", status: 200 },
  { route: `GET ${items}`, params: web, status: 200, unknown: unknownItem },
  { route: `GET ${items}/recoveryPoints`, params: web, status: 200, unknown: unknownItem },
  { route: "GET replicationJobs", status: 200 },
  { route: "GET replicationJobs/{job}", params: ({ job }) => ({ job }), status: 200, unknown: ["job-unknown"] },
  {
    route: `GET ${items}/restores/{restore}`,
    params: ({ restore }) => ({ item: "web-1", restore }),
    status: 200,
    unknown: ["item-unknown", "restore-unknown"],
  },
  { route: `GET ${items}/alertRule`, params: web, status: 200, unknown: ["item-unknown", "alert-rule-unknown"] },
  { route: "GET replicationPolicies", status: 200 },
  {
    route: "GET replicationPolicies/{policy}",
    params: () => ({ policy: "gold" }),
    status: 200,
    unknown: ["policy-unknown"],
  },
  { route: "GET replicationNetworkMappings", status: 200 },
  {
    route: "GET replicationNetworkMappings/{mapping}",
    params: ({ mapping }) => ({ mapping }),
    status: 200,
    unknown: ["mapping-unknown"],
  },
];

const MACHINE_OPTIONS = {
  subscriptionId: "s1",
  resourceGroup: "shop-dr",
  machineName: "web-1-dr",
  sizeName: "Standard_D4s_v5",
  network: {
    kind: "new",
    name: "dr",
    addressPrefixes: ["10.9.0.0/16"],
    subnets: [{ name: "all", addressPrefix: "10.9.0.0/24" }],
    peerWith: [`${VM}/net`],
  },
  availability: { kind: "zone", zone: "1" },
  cacheAccountName: "cachewe",
  targetAccountName: "targetne",
  churn: "Normal",
  disks: {
    [`${VM}/os`]: { name: "os", replicaName: "os-replica", targetSku: "Premium_LRS", diskEncryptionSetId: "des" },
  },
  nics: {
    [`${VM}/nic`]: {
      name: "nic",
      subnetName: "all",
      address: "10.9.0.4",
      publicIpId: "ip",
      networkSecurityGroupId: "nsg",
      acceleratedNetworking: true,
    },
  },
};
const POLICY = {
  crashConsistentFrequencyInMinutes: 5,
  appConsistentFrequencyInMinutes: 60,
  recoveryPointHistory: 1440,
};

const OPERATORS: readonly RouteCase[] = [
  {
    route: `PUT ${items}`,
    what: "by its disks",
    params: () => ({ item: "fresh-1" }),
    body: () => ({ disks: [...DISKS, { id: "data", sizeBytes: 4096, sectorSizeBytes: 4096 }], policy: POLICY }),
    status: 201,
    grants: true,
    unknown: ["invalid-request"],
    refusals: ["disk-invalid"],
  },
  {
    route: `PUT ${items}`,
    what: "as a machine",
    params: () => ({ item: "fresh-2" }),
    body: () => ({ sourceVmId: VM, targetRegion: "northeurope", policy: POLICY, options: MACHINE_OPTIONS }),
    status: 202,
    repeatable: true,
    named: ["options.disks", "options.nics"],
    unknown: ["invalid-request"],
  },
  {
    route: `PUT ${items}`,
    what: "with a stored policy",
    params: () => ({ item: "fresh-3" }),
    body: () => ({ sourceVmId: VM, targetRegion: "northeurope", policyName: "gold" }),
    status: 202,
    repeatable: true,
    unknown: ["invalid-request"],
    refusals: ["policy-unknown"],
  },
  { route: `DELETE ${items}`, params: web, status: 202, repeatable: true, unknown: unknownItem },
  {
    route: `POST ${items}/unplannedFailover`,
    params: web,
    body: ({ point }) => ({ recoveryPointId: point, sourceSiteOperations: "Required" }),
    status: 202,
    repeatable: true,
    unknown: unknownItem,
  },
  {
    route: `POST ${items}/failoverCommit`,
    params: () => ({ item: "over-2" }),
    status: 202,
    repeatable: true,
    unknown: unknownItem,
  },
  { route: `POST ${items}/registrationToken`, params: web, status: 201, grants: true, unknown: unknownItem },
  {
    route: `POST ${items}/recoveryPoints`,
    params: web,
    body: () => ({ recoveryPointType: "ApplicationConsistent" }),
    status: 202,
    repeatable: true,
    unknown: unknownItem,
  },
  { route: `POST ${items}/repairReplication`, params: web, status: 202, repeatable: true, unknown: unknownItem },
  { route: `POST ${items}/rotateToken`, params: web, status: 202, unknown: unknownItem },
  {
    route: `POST ${items}/recoveryPoints/{point}/restore`,
    params: ({ point }) => ({ item: "web-1", point }),
    status: 202,
    repeatable: true,
    unknown: ["item-unknown", "point-unknown"],
  },
  {
    route: `POST ${items}/restores/{restore}/grantAccess`,
    params: ({ restore }) => ({ item: "web-1", restore }),
    status: 200,
    grants: true,
    unknown: ["item-unknown", "restore-unknown"],
  },
  {
    route: `DELETE ${items}/restores/{restore}`,
    params: ({ restore }) => ({ item: "web-1", restore }),
    status: 202,
    unknown: unknownItem,
  },
  {
    route: `PUT ${items}/alertRule`,
    params: web,
    body: () => ({
      enabled: true,
      mode: "failover",
      targetIds: [VM],
      severities: ["Sev0", "Sev1"],
      coolDownInMinutes: 60,
      recoveryPointType: "Latest",
      sourceSiteOperations: "Required",
    }),
    status: 200,
    // 20,000 faults came back as a megabyte.
    found: [{ path: ["severities"], raw: `[${"0,".repeat(19_999)}0]` }],
    unknown: unknownItem,
  },
  { route: `DELETE ${items}/alertRule`, params: web, status: 204, unknown: unknownItem },
];

const SHARED: readonly RouteCase[] = [
  {
    route: "PUT replicationPolicies/{policy}",
    params: () => ({ policy: "silver" }),
    body: () => ({ ...POLICY, recoveryPointThresholdInMinutes: 15 }),
    status: 201,
    unknown: ["invalid-request"],
  },
  { route: "DELETE replicationPolicies/{policy}", params: () => ({ policy: "gold" }), status: 204, unknown: [] },
  { route: "POST replicationNetworkMappings", body: () => mappingOf("c", "d"), status: 201 },
  {
    route: "PATCH replicationNetworkMappings/{mapping}",
    params: ({ mapping }) => ({ mapping }),
    body: () => ({
      recoveryNetworkId: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/b",
    }),
    status: 200,
    unknown: ["mapping-unknown"],
    refusals: ["operation-not-allowed"],
  },
  {
    route: "DELETE replicationNetworkMappings/{mapping}",
    params: ({ mapping }) => ({ mapping }),
    status: 204,
    unknown: [],
  },
  {
    route: "POST alerts",
    body: () => ({
      schemaId: "azureMonitorCommonAlertSchema",
      data: {
        essentials: {
          alertId: "alert-1",
          severity: "Sev1",
          signalType: "Metric",
          monitorCondition: "Fired",
          monitoringService: "Resource Health",
          alertTargetIDs: [VM],
          firedDateTime: "2026-11-22T11:59:00.123Z",
        },
        alertContext: { properties: { currentHealthStatus: "Unavailable", cause: "PlatformInitiated" } },
      },
    }),
    status: 202,
    readsOver: true,
    // More than a queue takes, and every character three bytes long in it.
    found: [
      { path: ["data", "essentials", "monitoringService"], raw: `"${"x".repeat(60_000)}"` },
      { path: ["data", "essentials", "alertTargetIDs"], raw: `[${`"${"\u4e00".repeat(512)}",`.repeat(63)}"x"]` },
    ],
    loose: ["data.alertContext"],
  },
];

const MOBILITY: readonly RouteCase[] = [
  {
    route: "POST mobility/{item}/register",
    params: () => ({ item: "new-1" }),
    body: ({ registrationToken }) => ({
      registrationToken,
      itemToken: "cd".repeat(32),
      machineId: "m",
      bootId: "b",
      disks: DISKS,
    }),
    status: 200,
    readsOver: true,
    // A newer service may know more of its disks.
    found: [{ path: ["disks", 0, "extra"], raw: "null" }],
    token: "body",
    unknown: noTicket,
    refusals: ["not-authorized", "disk-invalid"],
  },
  {
    route: "POST mobility/{item}/heartbeat",
    params: web,
    headers: bearer,
    body: ({ applied }) => ({
      ...heartbeat(applied),
      ended: false,
      sealed: applied,
      currentAtMs: 1_700_000_000_000,
      seeding: { doneBytes: 1, totalBytes: 2 },
      resynchronization: { state: "running", reason: "full", doneBytes: 1, totalBytes: 2 },
      start: applied,
      uploadsStopped: { code: "position-fork", message: "another delta" },
      consistency: { requestId: "2".repeat(32), state: "failed", reason: "no script" },
      nextTokenHash: "3".repeat(64),
    }),
    status: 200,
    grants: true,
    readsOver: true,
    token: "header",
    unknown: noTicket,
    refusals: ["machine-mismatch", "session-taken", "position-fork"],
  },
  {
    route: "POST mobility/{item}/settle",
    params: web,
    headers: bearer,
    body: ({ applied: { stream, checksum } }) => ({ sessionId: "session", stream, epoch: 2, checksum }),
    status: 200,
    readsOver: true,
    token: "header",
    unknown: noTicket,
    // No name of a delta has so many digits.
    found: [{ path: ["epoch"], raw: "1e12" }],
    refusals: ["session-taken", "stream-closed"],
  },
];

/** A route that is registered and not here fails the test: one line is enough for it to be fuzzed. */
export const ROUTE_CASES: readonly RouteCase[] = [...READS, ...OPERATORS, ...SHARED, ...MOBILITY];

/** Another token of the same shape. */
export const WRONG_TOKEN = await ticketed("web-1", ITEM_TOKEN.replace("a", "f"));
