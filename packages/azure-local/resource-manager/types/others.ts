import type { Answer, ArmRequest } from "../engine/answer.ts";
import { ArmError, notSupported } from "../engine/arm-error.ts";
import { regionName } from "../engine/ids.ts";
import type { JsonObject } from "../engine/json.ts";
import { isForeignNamespace } from "../engine/namespaces.ts";
import type { ResourceType, World } from "../engine/resource-type.ts";
import { FAMILIES, SIZES, usedCores, type MachineSize } from "./sizes.ts";
import { STORAGE_ACCOUNT_TYPE } from "./storage-accounts.ts";

interface Other {
  readonly method: "GET" | "POST";
  /** After `/subscriptions/{id}`; its first group is passed on. */
  readonly path: RegExp;
  answer(context: {
    readonly part: string;
    readonly request: ArmRequest;
    readonly world: World;
    readonly types: readonly ResourceType[];
  }): JsonObject;
}

/** Queries about a subscription besides its resources: one line each. */
const OTHERS: readonly Other[] = [
  { method: "GET", path: /^$/, answer: ({ request }) => subscription(request.path) },
  {
    method: "GET",
    path: /^\/locations$/i,
    answer: ({ world, request }) => ({ value: world.facts.regions.map((name) => location(name, request.path)) }),
  },
  {
    method: "GET",
    path: /^\/providers$/i,
    answer: ({ types, world }) => ({ value: namespaces(types).map((name) => provider(name, types, world)) }),
  },
  { method: "GET", path: /^\/providers\/([^/]+)$/i, answer: ({ part, types, world }) => provider(part, types, world) },
  {
    method: "POST",
    path: /^\/providers\/([^/]+)\/register$/i,
    answer: ({ part, types, world }) => provider(part, types, world),
  },
  {
    method: "GET",
    path: /^\/providers\/Microsoft\.Compute\/skus$/i,
    answer: ({ request, world }) => ({ value: skus(request, world) }),
  },
  {
    method: "GET",
    path: /^\/providers\/Microsoft\.Compute\/locations\/([^/]+)\/usages$/i,
    answer: ({ part, world }) => ({ value: usages(part, world) }),
  },
  {
    method: "GET",
    path: /^\/providers\/Microsoft\.Compute\/locations\/([^/]+)\/vmSizes$/i,
    answer: ({ part, world }) => ({ value: sizes(part, world) }),
  },
  {
    method: "GET",
    path: /^\/providers\/Microsoft\.Network\/locations\/([^/]+)\/usages$/i,
    answer: ({ part, world }) => ({ value: networkUsages(part, world) }),
  },
  {
    method: "POST",
    path: /^\/providers\/Microsoft\.Storage\/checkNameAvailability$/i,
    answer: ({ request, world }) => nameAvailability(request, world),
  },
];

export function answerOther(request: ArmRequest, world: World, types: readonly ResourceType[]): Answer {
  const rest = /^\/subscriptions\/[^/]+(.*)$/i.exec(request.path)?.[1];
  for (const other of rest === undefined ? [] : OTHERS) {
    const match = other.path.exec(rest ?? "");
    if (match === null || other.method !== request.method) continue;
    return { status: 200, headers: {}, body: other.answer({ part: match[1] ?? "", request, world, types }) };
  }
  throw notSupported(`${request.method} ${request.path}`);
}

function subscription(path: string): JsonObject {
  const id = path.split("/")[2] ?? "";
  return { id: `/subscriptions/${id}`, subscriptionId: id, displayName: "Local cloud", state: "Enabled" };
}

function location(name: string, path: string): JsonObject {
  return { id: `${path}/${name}`, name, type: "Region", displayName: name, regionalDisplayName: name };
}

const namespaces = (types: readonly ResourceType[]): readonly string[] => [
  ...new Set(types.map(({ name }) => name.split("/")[0] ?? "")),
];

function provider(name: string, types: readonly ResourceType[], world: World): JsonObject {
  const namespace = namespaces(types).find((known) => known.toLowerCase() === name.toLowerCase());
  if (namespace === undefined && isForeignNamespace(name)) throw notSupported(`the resource provider ${name}`);
  if (namespace === undefined)
    throw new ArmError(404, "InvalidResourceNamespace", `The resource namespace '${name}' is invalid.`);
  const resourceTypes = types
    .filter((type) => type.name.startsWith(`${namespace}/`))
    .map((type) => ({
      resourceType: type.name.slice(namespace.length + 1),
      locations: world.facts.regions,
      apiVersions: [type.apiVersion],
    }));
  return { namespace, registrationState: "Registered", registrationPolicy: "RegistrationRequired", resourceTypes };
}

/** One entry per size and region, with its restriction if any. */
function skus(request: ArmRequest, world: World): readonly JsonObject[] {
  const filter = request.query.get("$filter");
  const wanted = filter === null ? undefined : /^location eq '([^']+)'$/.exec(filter)?.[1];
  if (filter !== null && wanted === undefined) throw notSupported(`the filter ${filter} of skus`);
  const regions = wanted === undefined ? world.facts.regions : [knownRegion(wanted, world)];
  return regions.flatMap((region) => SIZES.map((size) => sku(size, region, world)));
}

function sku(size: MachineSize, region: string, world: World): JsonObject {
  const restriction = {
    type: "Location",
    values: [region],
    restrictionInfo: { locations: [region] },
    reasonCode: "NotAvailableForSubscription",
  };
  const [tier = "", ...short] = size.name.split("_");
  return {
    resourceType: "virtualMachines",
    name: size.name,
    tier,
    size: short.join("_"),
    family: size.family,
    locations: [region],
    locationInfo: [{ location: region, zones: ["1", "2", "3"], zoneDetails: [] }],
    capabilities: [
      { name: "vCPUs", value: String(size.cores) },
      { name: "MemoryGB", value: String(size.memoryMiB / 1024) },
      { name: "MaxDataDiskCount", value: String(size.dataDisks) },
      { name: "HyperVGenerations", value: "V1,V2" },
      { name: "MaxNetworkInterfaces", value: String(size.nics) },
      { name: "PremiumIO", value: "True" },
      { name: "CpuArchitectureType", value: size.architecture },
      { name: "DiskControllerTypes", value: size.diskControllers.join(",") },
      { name: "EncryptionAtHostSupported", value: size.encryptsAtHost ? "True" : "False" },
      { name: "AcceleratedNetworkingEnabled", value: size.family === "standardBSFamily" ? "False" : "True" },
    ],
    restrictions: world.facts.isRestricted(region, size.name) ? [restriction] : [],
  };
}

function usages(part: string, world: World): readonly JsonObject[] {
  const region = knownRegion(part, world);
  const used = usedCores(region, world);
  return ["cores", ...FAMILIES].map((family) => ({
    currentValue: used.get(family) ?? 0,
    limit: world.facts.quota(region, family),
    unit: "Count",
    name: { value: family, localizedValue: family === "cores" ? "Total Regional vCPUs" : family },
  }));
}

function networkUsages(part: string, world: World): readonly JsonObject[] {
  const region = knownRegion(part, world);
  const count = (type: string): number => world.ofType(type).filter((record) => record.location === region).length;
  const names = [
    ["VirtualNetworks", "Microsoft.Network/virtualNetworks"],
    ["NetworkInterfaces", "Microsoft.Network/networkInterfaces"],
    ["PublicIPAddresses", "Microsoft.Network/publicIPAddresses"],
    ["NetworkSecurityGroups", "Microsoft.Network/networkSecurityGroups"],
  ] as const;
  return names.map(([value, type]) => ({
    currentValue: count(type),
    limit: 1000,
    unit: "Count",
    name: { value, localizedValue: value },
  }));
}

function sizes(part: string, world: World): readonly JsonObject[] {
  knownRegion(part, world);
  return SIZES.map(({ name, cores, memoryMiB, dataDisks }) => ({
    name,
    numberOfCores: cores,
    osDiskSizeInMB: 1_047_552,
    resourceDiskSizeInMB: 0,
    memoryInMB: memoryMiB,
    maxDataDiskCount: dataDisks,
  }));
}

function nameAvailability({ body }: ArmRequest, world: World): JsonObject {
  const name = String((body as { readonly name?: unknown } | undefined)?.name);
  const isTaken = world.ofType(STORAGE_ACCOUNT_TYPE).some((record) => record.name === name);
  if (!isTaken) return { nameAvailable: true };
  return {
    nameAvailable: false,
    reason: "AlreadyExists",
    message: `The storage account named ${name} is already taken.`,
  };
}

function knownRegion(text: string, world: World): string {
  const region = regionName(text);
  if (world.facts.regions.includes(region)) return region;
  throw new ArmError(400, "NoRegisteredProviderFound", `No registered resource provider found for location '${text}'.`);
}
